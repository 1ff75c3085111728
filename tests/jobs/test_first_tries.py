"""What people type first: one photograph, a glob that the shell expands, a model in this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from torch import nn
from transformers import CLIPImageProcessor, ResNetConfig, ResNetForImageClassification

import pipeline
from pipeline import load_job
from pipeline.manifest import Manifest
from pipeline.run.cluster import driver_path
from pipeline.submission import packed
from tests.hubs import RESNET, save_hf
from tests.pictures import picture

ROOT = Path(__file__).parents[2]
FAST = ("--steps", 2, "--areas", ".1,.3", "--workers", 0)
MODEL = """
import torch
from torch import nn
from transformers import CLIPImageProcessor, ResNetConfig, ResNetForImageClassification


def build(channels={channels}):
    torch.manual_seed(0)
    last = nn.Linear(6, 3)
    layers = [nn.Conv2d(channels, 6, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, last)
    module.classes = ("ant", "bee", "cow")
    return module
"""


@pytest.fixture
def photos(here) -> Path:
    """Three photographs in ./photos, and ./photo.jpg."""
    (here / "photos").mkdir()
    for n, size in enumerate([(90, 60), (64, 80), (77, 77)]):
        picture(*size, seed=n).save(here / "photos" / f"{n}.jpg")
    picture(80, 50).save(here / "photo.jpg")
    return here


@pytest.fixture
def model(here, monkeypatch) -> str:
    """A model of a module with a name of its own in this folder, which is not on the path."""
    name = f"model_{here.parent.name}"
    (here / f"{name}.py").write_text(MODEL.format(channels=3))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", os.getcwd())])
    return f"python:{name}:build"


def images(out: str) -> list[dict]:
    return pq.read_table(f"{out}/images").to_pylist()


def test_one_photograph_and_several_are_those_of_their_folder(photos, model, xaipipe) -> None:
    small = ("--model", model, "--preprocess", "resize=40,crop=32", *FAST)
    code, text = xaipipe("run", "photo.jpg", "--out", "one", *small)
    assert (code, len(images("one"))) == (0, 1) and "1 images" in text
    files = sorted(str(file) for file in Path("photos").iterdir())
    code, text = xaipipe("run", *files, "--out", "three", *small)
    assert code == 0 and "checking photos/0.jpg and 2 more" in text
    ids = {row["id"] for row in images("three")}
    assert ids == {ref.id for ref in Manifest("photos")} == {r.id for r in Manifest("photos/*.jpg")}
    code, text = xaipipe("run", *files[:2], "--out", "three", *small)
    assert code == 0 and "2 were done before" in text
    (Path("job.yaml")).write_text(f"manifest: [{', '.join(files)}]\nout: three\nmodel: {model}\n")
    code, text = xaipipe("run", "--config", "job.yaml", *small)
    assert code == 0 and "3 were done before" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["photo.jpg", "nowhere.jpg"], "nowhere.jpg: there is no such file"),
        (["nowhere.jpg"], "nowhere.jpg: there is no such file"),
        (["photo.jpg", "photos"], "photos: is one of 2 arguments and no image"),
        (["photo.jpg", "photo.jpg"], "file 2: image and target are those of file 1"),
    ],
)
def test_arguments_that_are_no_images(given, said, photos, xaipipe) -> None:
    code, text = xaipipe("run", *given, "--out", "out", "--model", "builtin:shapes", *FAST)
    assert code == 2 and said in text


def test_images_of_several_folders_are_named_from_what_they_have_in_common(tmp_path) -> None:
    for folder in ("a/x", "a/y"):
        (tmp_path / folder).mkdir(parents=True)
        picture(9, 9).save(tmp_path / folder / "1.png")
    files = [str(tmp_path / "a" / folder / "1.png") for folder in "xy"]
    assert [r.id for r in Manifest(files)] == [r.id for r in Manifest(str(tmp_path / "a"))]


def test_a_column_that_looks_like_the_class_is_told(photos, xaipipe) -> None:
    rows = ["file_name,label,split", "photo.jpg,dotted-disc,test"]
    Path("m.csv").write_text("\n".join(rows) + "\n")
    given = ("--model", "builtin:shapes", "--out", "out", *FAST)
    note = "note: column `label` is only carried along, and the predicted class explained; rename"
    for command in ("plan", "run"):
        code, text = xaipipe(command, "m.csv", *given)
        assert code == 0 and note in text
    code, text = xaipipe("plan", "m.csv", *given)
    for part in (
        "image from file_name",
        "id from the image's path",
        "class from the prediction",
        "ground truth from nowhere",
        "carried along label, split",
    ):
        assert part in text
    Path("m.csv").write_text("image,label,target,bbox\nphoto.jpg,x,3,\n")
    code, text = xaipipe("plan", "m.csv", *given[:2], *FAST)
    assert code == 0 and "note" not in text
    assert "class from target" in text and "ground truth from bbox" in text


def test_names_of_ours_are_told(photos, xaipipe) -> None:
    Path("pipeline.py").write_text(MODEL.format(channels=3))
    code, text = xaipipe(
        "run", "photo.jpg", "--out", "out", "--model", "python:pipeline:build", *FAST
    )
    assert code == 2 and "pipeline is a name of xaipipe's own; rename your file" in text


def test_a_submitted_job_names_all_its_images(here) -> None:
    images = ["a.jpg", "s3://b/c.jpg"]
    job = load_job(None, {"manifest": images, "model": "builtin:shapes", "out": "s3://b/out"})
    with packed(job, None) as package:
        sent = yaml.safe_load((package.folder / "job.yaml").read_text())
    assert sent["manifest"] == [str(here / "a.jpg"), "s3://b/c.jpg"]


def test_workers_are_given_the_folders_of_the_driver(here, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", ["/nowhere", *sys.path])
    assert str(here) in driver_path() and "/nowhere" not in driver_path()


@pytest.mark.slow
def test_modules_here_are_found_by_workers_and_hide_nothing_of_ours(photos, model) -> None:
    for name in ("pipeline", "jobs", "tests", "inr_core"):
        Path(f"{name}.py").write_text("raise SystemExit('this is the user\\'s')\n")
    xaipipe = "import sys; sys.path.remove(''); from jobs.cli import main; main()"
    given = ["run", "photos", "--out", "out", "--model", model, "--preprocess", "resize=40,crop=32"]
    fast = ["--steps", "2", "--areas", ".2", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", xaipipe, *given, *fast],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(images("out")) == 3


def exported(module: nn.Module, shape: tuple[int, ...], file: str) -> str:
    torch.export.save(torch.export.export(module.eval(), (torch.randn(shape),)), file)
    return f"export:{file}"


@pytest.mark.parametrize(
    "kind", ["one channel", "not square", "padded", "blue first", "image processor"]
)
def test_other_inputs_from_end_to_end(kind, photos, here, model, xaipipe) -> None:
    fields, size, said = {
        "image processor": ("", (32, 48), "by CLIPImageProcessor to 32 x 48 (height x width) px"),
        "one channel": ("channels=grey,resize=40,crop=32", (32, 32), "32 x 32 px, grey"),
        "not square": ("resize=30:50,crop=24:48", (24, 48), "cropped to 24 x 48 (height x"),
        "padded": ("fit=pad,resize=32,crop=32", (32, 32), "padded to 32 x 32 px"),
        "blue first": ("channels=bgr,fit=squash,resize=32,crop=32", (32, 32), "squashed, cut to"),
    }[kind]
    if kind == "one channel":
        file = here / f"{model.split(':')[1]}.py"
        file.write_text(MODEL.format(channels=1))
    if kind == "image processor":
        model = f"hf:{here}/hf"
        size_ = {"max_height": 32, "max_width": 48}
        processor = CLIPImageProcessor(
            size=size_, crop_size={"height": 32, "width": 48}, image_mean=[0.5] * 3
        )
        save_hf(here / "hf", processor, ResNetForImageClassification(ResNetConfig(**RESNET)))
    rows = [f'photos/{n}.jpg,{n},"20,20,50,50"' for n in range(3)]
    Path("m.csv").write_text("\n".join(["image,target,bbox", *rows]) + "\n")
    given = ("--model", model, "--preprocess", fields)
    for out, seed in (("a", 0), ("b", 1)):
        code, text = xaipipe("run", "m.csv", "--out", out, *given, "--seed", seed, *FAST)
        assert code == 0, text
    reader = pipeline.read("a")
    for row in images("a"):
        assert reader.stored_mask(row["id"], area=0.1).shape == size
        assert reader.render(row["id"], area=0.1).shape == size
        whole = reader.render(row["id"], area=0.1, original=True)
        assert whole.shape == (row["height"], row["width"])
        beyond = row["crop"]["x0"] < -1 or row["crop"]["y0"] < -1
        padded = {"padded": "01", "image processor": "12"}.get(kind, "")
        assert beyond == (row["image"].removesuffix(".jpg")[-1] in padded)
    (one, *_) = [row["id"] for row in images("a")]
    for command in (
        ("evaluate", "a", "--workers", 0),
        ("regions", "a", "--workers", 0),
        ("diff", "a", "b", "--workers", 0),
        ("show", "a", one),
        ("report", "a"),
        ("plan", "m.csv", "--out", "a", *given, *FAST),
        ("models", "check", model, "--preprocess", fields, "--image", "photo.jpg"),
    ):
        code, text = xaipipe(*command)
        assert code == 0, (command, text)
    assert said in Path("a.html").read_text()


def test_an_exported_program_of_one_batch_size(photos, xaipipe) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    spec = exported(module, (3, 1, 28, 36), "m.pt2")
    code, text = xaipipe("run", "photos", "--out", "out", "--model", spec, *FAST)
    assert code == 0, text
    assert pipeline.read("out").render(images("out")[0]["id"], area=0.1).shape == (28, 36)
