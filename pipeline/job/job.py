"""The job: everything a person can ask of a run, validated, from a file and from flags.

Keys of the job file and names of the flags are the same; flags win. The method's settings are
those of its configuration, by name; of `inr_core.InrConfig` for inr: areas, restarts, rounds,
mask.stride, optimise.steps, ...
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import fsspec
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from inr_core import METHODS, PRESETS, Head
from pipeline.classifiers import Precision, TargetRule
from pipeline.errors import RequestError, describe

EXAMPLE = "torchvision:resnet50"


def _memory(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    try:
        return parse(value)
    except ValidationError:
        raise ValueError(f"expected a size such as 20GB or 512MB, got {value!r}") from None


def _failures(value: Any) -> Any:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if number >= 1 and number == int(number):
        return int(number)
    if 0 < number < 1:
        return float(number)
    raise ValueError(f"expected a count such as 100, or a share such as .1, got {value!r}")


Memory = Annotated[ByteSize, Field(ge=1), WrapValidator(_memory)]
Failures = Annotated[int | float, BeforeValidator(_failures)]


TargetText = Annotated[str, AfterValidator(lambda text: str(TargetRule.parse(text)))]


class Job(BaseModel):
    """One run; `config` is of the class that belongs to `method`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: str | tuple[str, ...]
    out: str | None = None
    root: str | None = None
    select: dict[str, str] = {}
    skip: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
    model: str
    weights: str | None = None
    preprocess: str | None = None
    targets: TargetText | None = None
    head: Head = "softmax"
    labels: str | None = None
    method: str = "inr"
    preset: str = "default"
    baseline: str | None = None
    start_file: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    gpus: Annotated[int, Field(ge=0)] | Literal["auto"] | None = None
    gpu_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    workers: Annotated[int, Field(ge=0)] | None = None
    address: Annotated[str, Field(min_length=1)] | None = None
    precision: Precision | None = None
    compile: bool | None = None
    max_memory: Memory | None = None
    max_image_bytes: Memory | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    microbatch: Annotated[int, Field(ge=1)] | None = None
    shard_size: Annotated[int, Field(ge=1)] | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    retry_failed: bool = False
    overwrite: bool = False
    changed: Literal["explain", "keep"] | None = None
    accept_failures: bool = False
    max_failures: Failures | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    config: Any

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        texts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError(f"holds a NUL character, which no path and no name has: {value!r}")
        return value

    def resolved(self) -> dict[str, Any]:
        """The whole job as plain data that `load_job` accepts again."""
        data = self.model_dump(mode="json", exclude={"config", "steps", "preset"})
        return {**data, **dataclasses.asdict(self.config)}


EVERY_ROW: Mapping[str, Any] = {"root": None, "select": {}, "skip": 0, "limit": None}
JOB_KEYS = tuple(name for name in Job.model_fields if name != "config")


def load_job(
    file: str | None, overrides: Mapping[str, Any], *, otherwise: Mapping[str, Any] | None = None
) -> Job:
    """A validated job from a job file (YAML or JSON, path or URL) and overriding values.

    overrides  dotted or plain names to values; None means not given
    otherwise  values of plain names that neither gives
    Raises RequestError naming the key, what was found, and the nearest known key.
    """
    data = {**(otherwise or {}), **(read_job_file(file) if file else {})}
    where = file or "options"
    given = {name: value for name, value in overrides.items() if value is not None}
    if "optimise.steps" in dotted(given) and "steps" not in given:
        data.pop("steps", None)  # another name of the same: flags win
    for name, value in given.items():
        _set(data, name, value)
    method = data.get("method", "inr")
    if not isinstance(method, str) or method not in METHODS:
        raise RequestError(f"method: {method!r} is unknown; expected one of {', '.join(METHODS)}")
    check_keys(data, method, where)
    settings = _merge(_defaults(method, data), data)
    if data.get("steps") is not None and "optimise" in settings:
        settings["optimise"]["steps"] = data["steps"]
    rest = {k: v for k, v in data.items() if k in JOB_KEYS}
    if "manifest" not in rest:
        raise RequestError(f"{where}: no manifest; give it as first argument or as `manifest:`")
    if "model" not in rest:
        raise RequestError(f"{where}: no classifier; give one, for example --model {EXAMPLE}")
    try:
        config = TypeAdapter(METHODS[method].config).validate_python(settings)
        job = Job(**rest, config=config)
    except ValidationError as error:
        raise RequestError(_explain_invalid(error, where)) from error
    if (config.perturbation.kind == "custom") != (job.baseline is not None):
        raise RequestError(
            "a baseline image and perturbation.kind=custom belong together: give both "
            "(--baseline FILE --set perturbation.kind=custom) or neither"
        )
    _check_start(job)
    return job


def _check_start(job: Job) -> None:
    """RequestError for a learned start where nothing would start at it."""
    if job.start_file is None:
        return
    start = getattr(job.config, "start", None)
    if start is None or getattr(start, "kind", "gradient") != "gradient":
        fitting = ", ".join(name for name, one in METHODS.items() if hasattr(one.config(), "start"))
        raise RequestError(
            f"--start {job.start_file}: nothing would start at it; expected method {fitting}, with "
            "start.kind=gradient"
        )


def parse_assignment(text: str, flag: str) -> tuple[str, Any]:
    """`a.b=c` with c read as YAML: a number, a list, a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(f"{flag} {text}: expected NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RequestError(f"{flag} {text}: not YAML ({_place(error)})") from error


def _place(error: yaml.YAMLError) -> str:
    """What is wrong, in a line."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return (str(error).splitlines() or ["unreadable"])[0]
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}"


def check_keys(data: Mapping[str, Any], method: str, where: str) -> None:
    """Refuse keys that the method does not know, naming whose they are or the nearest known one."""
    known = _known_keys(method)
    for name in dotted(data):
        if name not in known:
            raise RequestError(f"{where}: unknown key {name!r}{_hint(name, method, known)}")


def _hint(name: str, method: str, known: list[str]) -> str:
    """What may have been meant by an unknown key."""
    # `stride` for mask.stride, `mask.stride` for stride: equal last parts first
    near = [k for k in known if k.split(".")[-1] == name.split(".")[-1]]
    owners = [other for other in METHODS if name in _known_keys(other)]
    if owners and not near:
        sections = dict.fromkeys(key.split(".")[0] for key in _settings(method))
        return (
            f" for method {method}: it is a setting of {', '.join(owners)}; {method} has "
            f"{', '.join(sections)}"
        )
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"


def _known_keys(method: str) -> list[str]:
    return [*job_keys(method), *_settings(method)]


def job_keys(method: str) -> list[str]:
    """Keys of a job of this method, without the settings that are the method's own."""
    absent = {"steps"} - {name.removeprefix("optimise.") for name in _settings(method)}
    if method != "inr":
        absent.add("preset")
    return [key for key in JOB_KEYS if key not in absent]


def _settings(method: str) -> list[str]:
    return dotted(dataclasses.asdict(METHODS[method].config()))


def _defaults(method: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The method's settings before the job changes any; those of a preset for inr."""
    if method != "inr":
        return dataclasses.asdict(METHODS[method].config())
    preset = data.get("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise RequestError(f"preset: {preset!r} is unknown; expected one of {', '.join(PRESETS)}")
    return dataclasses.asdict(PRESETS[preset])


def dotted(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of all values in sections: `optimise.steps`."""
    names: list[str] = []
    for key, value in data.items():
        if isinstance(value, Mapping) and value and key != "select":
            names += dotted(value, f"{prefix}{key}.")
        else:
            names.append(f"{prefix}{key}")
    return names


def read_job_file(file: str) -> dict[str, Any]:
    """What a job file holds, dotted names as sections; RequestError where it cannot be read."""
    try:
        with fsspec.open(file, "r", encoding="utf-8") as stream:
            text = stream.read()
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f"--config {file}: not YAML: {_place(error)}") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"--config {file}: not UTF-8: {error}") from error
    except Exception as error:  # every store raises its own
        raise RequestError(f"--config {file}: cannot be read: {describe(error)}") from error
    if not isinstance(data, dict):
        raise RequestError(f"--config {file}: expected keys and values, for example `areas: [.1]`")
    try:
        dotted(data)
    except RecursionError as error:
        raise RequestError(
            f"--config {file}: a section holds itself (by an anchor & and its alias *); expected "
            "sections that end"
        ) from error
    sections: dict[str, Any] = {}
    for name, value in data.items():
        _set(sections, str(name), value)
    return sections


def _set(data: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for key in path:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise RequestError(f"{name}: {key!r} is a value, not a section")
        data = inner
    data[last] = value


def _merge(defaults: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with the values of `data` for the same keys, section by section."""
    merged = {}
    for key, default in defaults.items():
        value = data.get(key, default)
        if isinstance(default, dict) and isinstance(value, Mapping):
            value = _merge(default, value)
        merged[key] = value
    return merged


def _explain_invalid(error: ValidationError, where: str) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        found = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
        lines.append(f"{where}: {name + ': ' if name else ''}{message}{found}")
    return "\n".join(lines)
