"""The options of a job, shared by the commands that take one. Names are those of the job file."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

import pipeline
from jobs.console import Console
from jobs.signatures import parameters, takes
from pipeline import RequestError

WHAT, HOW, METHOD, AGAIN = "What to explain", "Where it runs", "Method", "Running again"


def _option(help_: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_, rich_help_panel=panel, show_default=False, **more)


def _job_options(
    manifest: Annotated[
        list[str] | None,
        typer.Argument(
            help="CSV, TSV, JSONL or Parquet with a column `image`, or with images in it; tar "
            "archives; a folder or glob of images, or the images themselves. Any fsspec URL.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None, _option("Folder or URL (s3://...) that receives the tables.", WHAT)
    ] = None,
    config: Annotated[
        str | None, _option("Job file (YAML) with these same names; flags win.", WHAT)
    ] = None,
    model: Annotated[
        str | None,
        _option(
            "Classifier: torchvision:NAME, timm:NAME, hf:REPO (or a folder, hf:./FOLDER), "
            "torchscript:FILE, export:FILE.pt2, python:MODULE:FACTORY or builtin:shapes (that of "
            "the demo).",
            WHAT,
        ),
    ] = None,
    weights: Annotated[
        str | None, _option("State dict of the classifier (.pth or .safetensors).", WHAT)
    ] = None,
    preprocess: Annotated[
        str | None,
        _option(
            "Changes to the classifier's preprocessing: resize=224,crop=224; fit=crop|squash|pad, "
            "crop=HEIGHT:WIDTH, channels=rgb|bgr|grey, mean, std, interpolation, fill.",
            WHAT,
        ),
    ] = None,
    targets: Annotated[
        str | None,
        _option(
            "Which classes of an image are explained: label (the manifest's target, which every "
            "row then needs), top1, top3, ... or 'all>.2' (in quotes: all that score more). "
            "Default: the manifest's target, else the top 1.",
            WHAT,
        ),
    ] = None,
    head: Annotated[
        str | None,
        _option(
            "What the classifier's scores are: softmax (default), one class of all; or sigmoid, "
            "each class for itself, for several labels an image.",
            WHAT,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        _option("Class names, a file: one a line, INDEX,NAME, or JSON as in id2label.", WHAT),
    ] = None,
    root: Annotated[
        str | None, _option("Base of relative image paths, if not the manifest's folder.", WHAT)
    ] = None,
    select: Annotated[
        list[str] | None, _option("Only rows with COLUMN=VALUE; repeatable.", WHAT)
    ] = None,
    skip: Annotated[int | None, _option("Not the first N rows.", WHAT)] = None,
    limit: Annotated[int | None, _option("Only the first N rows (after --skip).", WHAT)] = None,
    gpus: Annotated[
        str | None,
        _option(
            "GPUs, a worker on each (default: all GPUs here); auto: as many as the cluster has, "
            "also those that come later.",
            HOW,
            metavar="N|auto",
        ),
    ] = None,
    gpu_fraction: Annotated[
        float | None,
        _option("Share of a GPU for each worker: with .5 two of them work on one.", HOW),
    ] = None,
    workers: Annotated[
        int | None,
        _option(
            "CPU workers, one thread each; 0 = in this process, without Ray (--gpus 1: on a GPU).",
            HOW,
        ),
    ] = None,
    address: Annotated[
        str | None,
        _option("A running Ray cluster (auto, HOST:PORT); default: one on this machine.", HOW),
    ] = None,
    precision: Annotated[
        str | None,
        _option("Of the classifier: fp32 (default on a CPU) or bf16 (default on a GPU).", HOW),
    ] = None,
    compile: Annotated[
        bool | None,
        _option(
            "Run the classifier compiled by torch.compile (default on a GPU, not on a CPU).",
            HOW,
            "--compile/--no-compile",
        ),
    ] = None,
    max_memory: Annotated[
        str | None, _option("What a GPU worker may take for tensors: 20GB, 512MB.", HOW)
    ] = None,
    max_image_bytes: Annotated[
        str | None,
        _option("Largest file that is read as an image: 2GB (default: 512MB).", HOW),
    ] = None,
    batch: Annotated[
        int | None,
        _option(
            "Images that a GPU worker is given together (default: four times what a micro-batch "
            "takes).",
            HOW,
        ),
    ] = None,
    microbatch: Annotated[
        int | None,
        _option(
            "Images the classifier sees at once, at the most (default on a GPU: measured when the "
            "worker starts; 1 on a CPU).",
            HOW,
        ),
    ] = None,
    shard_size: Annotated[
        int | None, _option("Images per shard, the unit of retry and commit.", HOW)
    ] = None,
    timeout: Annotated[
        float | None,
        _option(
            "Seconds for a shard, after which its worker is replaced and the image that takes so "
            "long is looked for; also those without any worker, after which the run ends "
            "(default: 20 times as long as the slowest so far, at least 5 minutes, an hour for the "
            "first; 10 minutes without a worker).",
            HOW,
        ),
    ] = None,
    method: Annotated[
        str | None,
        _option(
            "How masks are found: inr (default), or a peer to compare with: ep, rise, gradcam, ig, "
            "pixels, start, random, centre.",
            METHOD,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        _option("Named settings of inr: default, fast, best, or paper (as published).", METHOD),
    ] = None,
    areas: Annotated[
        str | None, _option("Areas of the stored masks, fractions: .05,.1,.2,.4", METHOD)
    ] = None,
    restarts: Annotated[
        int | None, _option("Alternative explanations, each away from the earlier ones.", METHOD)
    ] = None,
    rounds: Annotated[
        int | None, _option("Non-overlapping explanations, one after the other.", METHOD)
    ] = None,
    steps: Annotated[int | None, _option("Optimisation steps.", METHOD)] = None,
    baseline: Annotated[
        str | None, _option("Your own baseline image, with --set perturbation.kind=custom.", METHOD)
    ] = None,
    start_file: Annotated[
        str | None,
        _option(
            "A learned start (`xaipipe learn-start`), in place of the sum of the evidence.",
            METHOD,
            "--start",
            metavar="FILE",
        ),
    ] = None,
    seed: Annotated[int | None, _option("Seed of the run.", METHOD)] = None,
    set_: Annotated[
        list[str] | None,
        _option(
            "Any other setting, NAME=VALUE: objective.game=deletion, mask.network.w0_first=8, "
            "objective.contrast=runner-up (what makes it this class and not that one; or a class); "
            "repeatable.",
            METHOD,
            "--set",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, _option("Also try again what failed before.", AGAIN, "--retry-failed")
    ] = False,
    overwrite: Annotated[
        bool, _option("Discard the run in --out and start anew.", AGAIN, "--overwrite")
    ] = False,
    changed: Annotated[
        str | None,
        _option(
            "Ids that stand for another image or target than when they were explained: `explain` "
            "them anew (likewise files that have changed: size, or content where they are newer "
            "than the run), or `keep` their rows. Without it such a manifest is refused.",
            AGAIN,
        ),
    ] = None,
    accept_failures: Annotated[
        bool,
        _option("Exit with 0 where images failed, not with 3.", AGAIN, "--accept-failures"),
    ] = False,
    max_failures: Annotated[
        float | None,
        _option(
            "Stop when so many images in a row have failed: a count, or a share of the images "
            "such as .1 (default: 100, and only until a first image is explained).",
            AGAIN,
        ),
    ] = None,
) -> dict[str, Any]:
    return {}


def takes_job(
    command: Callable[..., None],
    *,
    announce: bool = False,
    make: Callable[..., Any] | None = None,
    **otherwise: Any,
) -> Callable[..., None]:
    """Give a command the options of a job; its first parameter receives the validated Job.

    announce   say what is being checked, since checking takes seconds
    make       makes something else of the job file and the overriding values than `load_job`
    otherwise  values of options that neither the command line nor the job file gives
    """
    own, shared = parameters(command)[1:], parameters(_job_options)

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        rest = {parameter.name: given.pop(parameter.name) for parameter in own}
        if announce and (what := given["manifest"] or given["config"]):
            first, *more = [what] if isinstance(what, str) else what
            Console().print(f"checking {first}" + f" and {len(more)} more" * bool(more))
        file, overrides = _asked(given)
        made = make or functools.partial(pipeline.load_job, otherwise=otherwise)
        command(made(file, overrides), **rest)

    return takes(wrapped, [*shared, *own])


def descriptions() -> dict[str, str]:
    """What each key of a job is, in the words of its option."""
    return {one.name: get_args(one.annotation)[1].help for one in parameters(_job_options)}


def _asked(given: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The job file and the overriding values; RequestError says what is wrong with them."""
    config = given.pop("config")
    manifest = given["manifest"]
    given["manifest"] = manifest[0] if manifest and len(manifest) == 1 else manifest or None
    overrides = dict(pipeline.parse_assignment(text, "--set") for text in given.pop("set_") or [])
    select = given.pop("select")
    if select:
        given["select"] = parse_select(select)
    if given["areas"] is not None:
        given["areas"] = parse_areas(given["areas"])
    given["gpus"] = parse_gpus(given["gpus"])
    for flag in ("retry_failed", "overwrite", "accept_failures"):
        given[flag] = given[flag] or None  # not given: the job file decides
    overrides |= {k: v for k, v in given.items() if v is not None}
    return config, overrides


def parse_areas(text: str) -> list[float]:
    """`.05,.1` as numbers; RequestError otherwise."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise RequestError(f"--areas {text}: expected fractions such as .05,.1,.2") from error


def parse_gpus(text: str | None) -> "pipeline.run.Gpus":
    """A number or `auto`; RequestError otherwise."""
    if text is None or text == "auto":
        return text  # type: ignore[return-value]
    if not text.isdecimal():
        raise RequestError(f"--gpus {text}: expected a number of GPUs, or auto")
    return int(text)


def parse_select(texts: list[str] | None) -> dict[str, str]:
    """Texts of columns by their names; RequestError for one without `=`."""
    return dict(_split(text) for text in texts or [])


def _split(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--select {text}: expected COLUMN=VALUE, for example split=test")
    return column, value
