"""Every method by the command line: tables, overlays, job files, and errors in words."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import yaml

import pipeline
from inr_core import METHODS
from pipeline import Request, RequestError, load_job
from pipeline.results.gallery import Gallery
from pipeline.run import driver
from pipeline.shapes import write_dataset

FAST = {
    "ep": {"steps": 4},
    "rise": {"samples": 20},
    "ig": {"steps": 4},
    "pixels": {"steps": 4},
}
PEERS = tuple(name for name in METHODS if name != "inr")
GIVEN = {"manifest": "m.csv", "model": "builtin:shapes"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 2, 0))


@pytest.mark.parametrize("method", PEERS)
def test_a_run_writes_the_same_tables_and_can_be_shown(method, manifest, tmp_path, xaipipe):
    if method == "ig" and importlib.util.find_spec("captum") is None:
        pytest.skip("captum is not installed")
    out = tmp_path / "out"
    job = ["--model", "builtin:shapes", "--workers", 0, "--method", method, "--areas", ".1,.3"]
    for name, value in FAST.get(method, {}).items():
        job += ["--set", f"{name}={value}"]
    code, text = xaipipe("plan", manifest, *job)
    passes = METHODS[method].passes(pipeline.load_job(None, _given(method)).config)
    assert code == 0 and f"passes per image {passes}" in text
    code, text = xaipipe("run", manifest, "--out", out, *job)
    assert code == 0 and "explained 2 images" in text

    run = pipeline.read(str(out))
    assert run.fingerprint["method"] == method
    assert isinstance(run.config, METHODS[method].config) and not run.networks
    explanations, masks = run.explanations.to_table(), run.masks.to_table().to_pylist()
    assert explanations["parameters"].null_count == 2 and explanations["best"].to_pylist() == [
        True,
        True,
    ]
    assert len(masks) == 4 and {m["area"] for m in masks} == {0.1, 0.3}
    for m in masks:
        pixels = run.stored_mask(m["id"], m["area"])
        assert pixels.shape == (128, 128)
        assert m["measured_area"] == pytest.approx(pixels.mean() / 255)
        if method != "ep":
            assert m["measured_area"] == pytest.approx(m["area"], abs=0.001)
        assert 0 <= m["score_kept"] <= 1 and 0 <= m["score_removed"] <= 1

    id_ = run.ids(1)[0]
    with pytest.raises(RequestError, match=r"stores no network.*areas 0.1, 0.3,.*stored_mask"):
        run.render(id_, 0.1)
    code, _ = xaipipe("show", out, id_, "--to", tmp_path / "pictures")
    assert code == 0
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    code, text = xaipipe("show", out, id_, "--areas", ".2")
    assert code == 2 and "no mask of area 0.2" in text and "0.1, 0.3" in text


def _given(method):
    return {**GIVEN, "method": method, "areas": [0.1, 0.3], **FAST.get(method, {})}


def test_the_gallery_shows_the_stored_mask_in_the_size_of_the_picture(manifest, tmp_path):
    job = load_job(
        None,
        {**_given("centre"), "manifest": manifest, "out": str(tmp_path / "out"), "workers": 0},
    )
    driver.run(Request(job), lambda progress: None)
    run = pipeline.read(str(tmp_path / "out"))
    id_ = run.ids(1)[0]
    large = run.explained(id_).sized([0.3], restart=None, round=0, size=(300, 200))[0]
    assert large.shape == (300, 200)
    assert large.mean() == pytest.approx(run.stored_mask(id_, 0.3).mean(), abs=2)
    assert large[150, 100] == 255 and large[0, 0] == 0 and len(np.unique(large)) > 2
    pictures = list(Gallery(run, id_).pictures())
    assert [p.area for p in pictures] == [0.1, 0.3] and "kept" in pictures[0].caption


@pytest.mark.parametrize("method", PEERS)
def test_a_resolved_job_loads_to_the_same_job(method, tmp_path):
    job = load_job(None, {**_given(method), "out": "o", "perturbation.sigmas": [0.05]})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job.resolved()))
    again = load_job(str(tmp_path / "job.yaml"), {})
    assert again.config == job.config and type(again.config) is METHODS[method].config
    assert again.model_dump(exclude={"steps"}) == job.model_dump(exclude={"steps"})
    assert again.config.areas == (0.1, 0.3) and again.config.perturbation.sigmas == (0.05,)


def test_steps_go_where_the_method_has_them():
    steps = {"steps": 7}
    assert load_job(None, {**GIVEN, "method": "ep", **steps}).config.steps == 7
    assert load_job(None, {**GIVEN, "method": "ig", **steps}).config.steps == 7
    assert load_job(None, {**GIVEN, "method": "pixels", **steps}).config.optimise.steps == 7
    assert load_job(None, {**GIVEN, **steps}).config.optimise.steps == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "gradcamm"}, "method: 'gradcamm' is unknown; expected one of inr, ep, rise"),
        ({"method": "rise", "restarts": 2}, "unknown key 'restarts' for method rise: .* of inr"),
        ({"method": "ep", "rounds": 2}, "unknown key 'rounds' for method ep: .* of inr"),
        ({"method": "gradcam", "steps": 9}, "unknown key 'steps' for method gradcam"),
        ({"method": "centre", "preset": "paper"}, "unknown key 'preset' for method centre"),
        ({"method": "centre", "preset": "default"}, "unknown key 'preset'.*of inr"),
        ({"method": "pixels", "mask.stride": 2}, "did you mean stride?"),
        ({"method": "ep", "optimise.steps": 2}, "did you mean steps?"),
        ({"samples": 9}, "unknown key 'samples' for method inr: it is a setting of rise"),
        ({"method": "ep", "steps": "many"}, "steps: .*integer"),
        ({"method": "rise", "keep": 2}, "keep must lie"),
        ({"method": "ig", "baseline": "x.png"}, "belong together"),
    ],
)
def test_what_a_method_does_not_have_is_refused(given, message):
    with pytest.raises(RequestError, match=message):
        load_job(None, {**GIVEN, **given})


def test_a_model_that_a_method_cannot_look_into_fails_before_anything_starts(
    manifest, tmp_path, monkeypatch
):
    (tmp_path / "flat_model.py").write_text(
        "import torch\n\ndef make():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(192, 4))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = {
        "manifest": manifest,
        "model": "python:flat_model:make",
        "preprocess": "resize=8,crop=8",
        "workers": 0,
    }
    with pytest.raises(RequestError, match="--method gradcam with --model python:flat_model"):
        Request(load_job(None, {**given, "method": "gradcam"}))
    folder = str(Path(manifest).parent / "images")
    Request(load_job(None, {**given, "method": "rise", "manifest": folder}))


def test_another_method_on_the_same_output_is_refused(manifest, tmp_path):
    given = {**_given("centre"), "manifest": manifest, "out": str(tmp_path / "out"), "workers": 0}
    driver.run(Request(load_job(None, given)), lambda progress: None)
    with pytest.raises(RequestError, match="method"):
        Request(load_job(None, {**given, "method": "random"}))
