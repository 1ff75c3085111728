"""`xaipipe benchmark`: its figures belong together, what is measured stays, what is refused."""

import dataclasses
import functools
import json
import statistics

import pytest
import torch
from PIL import Image

import pipeline
from inr_core import METHODS
from pipeline import load_job
from pipeline.benchmark import measure
from pipeline.benchmark.images import generate_images, repeat_images
from pipeline.errors import RunError
from pipeline.manifest.manifest import Manifest
from pipeline.shapes import CLASSES
from pipeline.store.process import age

SMALL = ["--model", "builtin:shapes", "--steps", 3, "--areas", ".1,.3"]


@pytest.fixture
def benchmark(xaipipe):
    """Run the command; returns its exit code and what it printed."""
    return functools.partial(xaipipe, "benchmark")


def test_the_figures_belong_together(benchmark, tmp_path):
    file = tmp_path / "new" / "b.json"
    own = ["--images", 2, "--repeats", 2, "--against", "gradcam", "--json", file]
    code, text = benchmark(*SMALL, "--workers", 0, *own)
    assert code == 0
    found = json.loads(file.read_text())
    for name in (
        "bare_passes_per_s",
        "loop_passes_per_s",
        "loop_ratio",
        "loop_ratio_cpu",
        "end_to_end_images_per_s",
        "end_to_end_ratio",
        "passes_per_image",
        "peak_memory_bytes",
        "startup_seconds",
        "against_images_per_s",
        "against_ratio",
    ):
        assert found[name] > 0, name
    assert (found["model"], found["method"], found["against"]) == (
        "builtin:shapes",
        "inr",
        "gradcam",
    )
    assert (found["images"], found["repeats"], found["workers"]) == (2, 2, 0)
    samples = found["samples"]
    of_runs = {"end_to_end_images_per_s", "end_to_end_ratio", "startup_seconds"}
    for name, values in samples.items():
        assert len(values) == (2 if name in of_runs else 2 * 2)  # repeats, or turns
        assert found[name] == statistics.median(values)
    for n in range(4):
        one = {name: values[n] for name, values in samples.items() if name not in of_runs}
        ratio = one["loop_passes_per_s"] / one["bare_passes_per_s"]
        assert one["loop_ratio"] == pytest.approx(ratio)
        images = one["loop_passes_per_s"] / found["passes_per_image"]
        assert images == pytest.approx(one["loop_images_per_s"])
        assert one["against_ratio"] == pytest.approx(images / one["against_images_per_s"])
    for n in range(2):
        passes = samples["end_to_end_images_per_s"][n] * found["passes_per_image"]
        loop = statistics.harmonic_mean(samples["loop_passes_per_s"][2 * n : 2 * n + 2])
        assert samples["end_to_end_ratio"][n] == pytest.approx(passes / loop)
    config = load_job(None, {"manifest": "m", "model": "m", "steps": 3}).config
    assert found["passes_per_image"] == METHODS["inr"].passes(config)
    # two areas, kept and removed, soft and hard; then four halvings where an area keeps enough
    assert 8 <= found["forward_only_per_image"] <= 12
    step = dict(found["step_seconds"])
    whole = step.pop("step")
    assert sum(step.values()) == pytest.approx(whole)
    assert all(seconds > 0 for part, seconds in step.items() if part != "other")
    for shown in ("bare classifier", "inr over gradcam", "classifier backward", "images/s"):
        assert shown in text


@pytest.mark.long
def test_workers_on_ray_and_tables_that_stay(benchmark, manifest, tmp_path):
    file, out = tmp_path / "b.json", tmp_path / "out"
    given = [manifest, "--model", "builtin:shapes", "--method", "gradcam", "--areas", ".1,.3"]
    given += ["--workers", 2, "--out", out, "--images", 3, "--repeats", 1]
    code, text = benchmark(*given, "--json", file)
    assert code == 0 and "workers 2" in text and "where the time" not in text
    found = json.loads(file.read_text())
    loop = statistics.harmonic_mean(found["samples"]["loop_images_per_s"])
    whole = found["end_to_end_images_per_s"]
    assert found["end_to_end_ratio"] == pytest.approx(whole / (2 * loop))
    assert found["step_seconds"] == {} and found["against"] is None
    run = pipeline.read(str(out / "benchmark" / "1"))
    rows = run.images.to_table().to_pylist()
    assert len(rows) == 2 * (1 + 2)  # for each worker: one to warm up, and its share of three
    expected = {ref.image: ref.target for ref in Manifest(manifest, classes=CLASSES)}
    assert {row["image"]: row["target"] for row in rows} == expected
    code, text = benchmark(*given)
    assert code == 2 and "holds a run" in text and "--overwrite" in text


@pytest.mark.parametrize("stage", ["step", "whole"])
def test_what_was_measured_before_memory_ran_out_stays(
    benchmark, manifest, tmp_path, monkeypatch, stage
):
    def exhausted(*given):
        if stage == "whole":
            raise RunError("3 workers in a row did not start: out of memory")
        raise torch.OutOfMemoryError("CUDA out of memory\nsecond line")

    monkeypatch.setattr(measure, "profile_step" if stage == "step" else "whole_run", exhausted)
    file = tmp_path / "b.json"
    given = [manifest, *SMALL, "--workers", 0, "--images", 1, "--repeats", 1, "--json", file]
    code, text = benchmark(*given)
    found = json.loads(file.read_text())
    assert found["loop_ratio"] > 0 and "loop, images in memory" in text
    if stage == "step":
        assert code == 0 and found["end_to_end_ratio"] > 0 and found["step_seconds"] == {}
        (note,) = found["notes"]
        assert note == "the parts of a step are not known: OutOfMemoryError: CUDA out of memory"
        assert note in text
    else:
        assert code == 1 and "end_to_end_ratio" not in found


def test_generated_images_and_manifests_that_go_round(tmp_path):
    path = generate_images(tmp_path / "images", 3)
    refs = list(Manifest(str(path), classes=CLASSES))
    pictures = [Image.open(ref.image) for ref in refs]
    assert {(p.format, p.size, p.mode) for p in pictures} == {("JPEG", (500, 375), "RGB")}
    assert len({p.tobytes() for p in pictures}) == 3
    refs[1] = dataclasses.replace(refs[1], target=2)
    again = list(Manifest(str(repeat_images(tmp_path / "m.csv", refs, 7)), classes=CLASSES))
    assert [(r.image, r.target) for r in again] == [
        (r.image, r.target) for r in (2 * refs + refs)[:7]
    ]
    assert len({r.id for r in again}) == 7


def test_a_job_file_names_the_manifest_or_images_are_generated(tmp_path):
    (tmp_path / "job.yaml").write_text("manifest: mine.csv\nmodel: builtin:shapes\n")
    otherwise = {"manifest": "generated:"}
    assert load_job(str(tmp_path / "job.yaml"), {}, otherwise=otherwise).manifest == "mine.csv"
    given = {"model": "builtin:shapes"}
    assert load_job(None, given, otherwise=otherwise).manifest == "generated:"
    assert load_job(None, {**given, "manifest": "m"}, otherwise=otherwise).manifest == "m"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "inr"], "--against inr: expected a method other than --method inr: ep"),
        (["--against", "nobody"], "--against nobody: expected a method"),
        (["--images", 0], "--images"),
        (["--repeats", 0], "--repeats"),
        (["--json", "MANIFEST/b.json"], "cannot be written"),
        (["MANIFEST", "--select", "id=x"], "at least one image"),
        (["BROKEN"], "broken.jpg"),
    ],
)
def test_a_wrong_request_is_refused(benchmark, manifest, tmp_path, arguments, message):
    (tmp_path / "broken.jpg").write_text("words")
    (tmp_path / "broken.csv").write_text("image\nbroken.jpg\n")
    fill = {"BROKEN": str(tmp_path / "broken.csv")}
    filled = [fill.get(a, str(a).replace("MANIFEST", manifest)) for a in arguments]
    code, text = benchmark(*SMALL, "--workers", 0, *filled)
    assert code == 2 and message in text and "Traceback" not in text


def test_a_peer_that_cannot_look_into_the_classifier_is_refused(manifest, tmp_path, monkeypatch):
    (tmp_path / "flat_classifier.py").write_text(
        "import torch\n\ndef make():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(192, 4))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = {"manifest": "generated:", "model": "python:flat_classifier:make", "workers": 0}
    job = load_job(None, {**given, "preprocess": "resize=8,crop=8"})
    with pytest.raises(pipeline.RequestError, match="--against gradcam: .*no layer"):
        measure.benchmark(job, tmp_path, images=1, repeats=1, against="gradcam")


def test_the_age_of_this_process_grows():
    first = age()
    assert first > 0 and age() >= first
