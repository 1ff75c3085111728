"""`xaipipe evaluate`: values re-derived from the tables, runs side by side, clear refusals."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import pipeline
from inr_core import gaussian_blur
from pipeline import Request, load_job
from pipeline.classifiers.classifier import load_classifier
from pipeline.images.loading import load_image
from pipeline.run import driver
from pipeline.shapes import write_dataset

AREAS = [0.05, 0.2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    manifest = str(write_dataset(folder / "data", 3, 0))
    common = {"manifest": manifest, "model": "builtin:shapes", "workers": 0, "areas": AREAS}
    for name, own in {
        "ours": {"restarts": 2, "rounds": 2, "round_score": 0.0, "steps": 4},
        "centre": {"method": "centre"},
        "few": {"method": "centre", "limit": 1},
        "again": {"restarts": 2, "rounds": 2, "round_score": 0.0, "steps": 4, "seed": 5},
    }.items():
        job = load_job(None, {**common, "out": str(folder / name), **own})
        driver.run(Request(job), lambda p: None)
    return folder


def values(file):
    rows = pq.read_table(file).to_pylist()
    return {(r["run"], r["id"], r["metric"], r["area"]): r["value"] for r in rows}


def test_two_runs_side_by_side(runs, xaipipe):
    arguments = [runs / "ours", "--against", runs / "centre", "--judge", "builtin:shapes"]
    drawn = ["--markdown", runs / "table.md", "--plot", runs / "plot.png"]
    code, text = xaipipe("evaluate", *arguments, *drawn)
    assert code == 0, text
    assert "3 images" in text and "kept_judge" in text and "- centre" in text
    found = values(runs / "metrics.parquet")
    classifier = load_classifier("builtin:shapes")
    reader = pipeline.read(str(runs / "centre"))
    for id_ in reader.ids(3):
        row = reader.image(id_)
        truth = np.array(Image.open(row["mask"])) > 127
        image = load_image(row["image"], classifier.preprocess).pixels[None]
        for area in AREAS:
            disc = reader.stored_mask(id_, area) > 127
            assert disc.sum() == int(area * 128 * 128)
            precision = (disc & truth).sum() / disc.sum()
            assert found["centre", id_, "precision", area] == pytest.approx(precision)
            assert found["centre", id_, "perimeter", area] == pytest.approx(1, abs=0.03)
            soft = gaussian_blur(torch.from_numpy(disc)[None, None].float(), 2 * 128 / 224)
            shown = soft * image + (1 - soft) * gaussian_blur(image, 0.09 * 128)
            kept = classifier.classify(shown).softmax(1)[0, row["target"]].item()
            assert found["centre", id_, "kept", area] == pytest.approx(kept, abs=1e-4)
            assert found["centre", id_, "kept_judge", area] == pytest.approx(kept, abs=1e-4)
        assert found["centre", id_, "chance", None] == pytest.approx(truth.mean())
        assert found["ours", id_, "chance", None] == pytest.approx(truth.mean())
        assert found["centre", id_, "nestedness", None] == pytest.approx(1)
        assert found["ours", id_, "area_error_unseen", None] <= 0.001
        assert ("centre", id_, "area_error_unseen", None) not in found
        assert 0 <= found["ours", id_, "restart_iou", 0.05] <= 1
        assert found["ours", id_, "round_overlap", 0.2] < 0.2  # soft edges may touch


def test_the_markdown_table_has_the_means(runs, xaipipe):
    to = runs / "table.md"
    assert (
        xaipipe("evaluate", runs / "centre", "--markdown", to, "--to", runs / "m.parquet")[0] == 0
    )
    head, line, row = to.read_text().splitlines()
    metrics = [cell.strip() for cell in head.strip("|").split("|")]
    coloured = ["kept_mean_colour", "removed_mean_colour"]
    measured = ["precision", "pointing", "perimeter", "insertion", "deletion", "single_deletion"]
    assert metrics == ["method", "kept", "removed", *coloured, *measured]
    cells = dict(zip(metrics, [c.strip() for c in row.strip("|").split("|")], strict=True))
    assert cells["method"] == "centre" and line.count("-") == 3 * len(metrics)
    found = values(runs / "m.parquet")
    for metric in ("kept", "precision"):
        for area, cell in zip(AREAS, cells[metric].split(), strict=True):
            each = [v for (_, _, m, a), v in found.items() if (m, a) == (metric, area)]
            assert float(cell) == pytest.approx(np.mean(each), abs=0.006)


def test_runs_are_compared_on_the_images_that_all_explained(runs, xaipipe, tmp_path):
    target = tmp_path / "few.parquet"
    code, text = xaipipe("evaluate", runs / "ours", "--against", runs / "few", "--to", target)
    assert code == 0 and "1 images" in text
    assert len({key[1] for key in values(target)}) == 1


def test_stability_is_the_agreement_with_a_repeat(runs, xaipipe, tmp_path):
    target = tmp_path / "again.parquet"
    arguments = [runs / "ours", "--against", runs / "centre", "--repeat", runs / "again"]
    code, text = xaipipe("evaluate", *arguments, "--to", target)
    assert code == 0 and "seed_iou" in text, text
    found = values(target)
    readers = [pipeline.read(str(runs / name)) for name in ("ours", "again")]
    for id_ in readers[0].ids(3):
        for area in AREAS:
            one, two = (top(reader.stored_mask(id_, area), area) for reader in readers)
            wanted = (one & two).sum() / (one | two).sum()
            assert found["ours", id_, "seed_iou", area] == pytest.approx(wanted, abs=0.01)
            assert ("centre", id_, "seed_iou", area) not in found


def top(mask, area):
    """The brightest floor(a H W) pixels; of equal ones those that come first."""
    order = np.argsort(-mask.astype(int), axis=None, kind="stable")
    chosen = np.zeros(mask.size, bool)
    chosen[order[: int(area * mask.size)]] = True
    return chosen.reshape(mask.shape)


def test_wrong_requests(runs, xaipipe, tmp_path):
    for arguments, message in (
        ([tmp_path], "no run here"),
        ([runs / "ours", "--judge-weights", "w.pth"], "name the classifier too"),
        ([runs / "ours", "--judge", "builtin:animals"], "builtin:shapes"),
        ([runs / "ours", "--repeat", runs / "centre"], "differs from every run"),
        ([runs / "ours", "--repeat", runs / "ours"], "differs from every run"),
    ):
        code, text = xaipipe("evaluate", *arguments)
        assert code == 2 and message in text


@pytest.mark.parametrize("flag", ["--markdown", "--plot"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(runs, xaipipe, tmp_path, flag):
    (tmp_path / "file").write_text("words")
    to = tmp_path / "m.parquet"
    for target in (tmp_path / "file" / "inside.png", tmp_path):
        code, text = xaipipe("evaluate", runs / "ours", flag, target, "--to", to)
        assert code == 2 and flag in text and "cannot be written" in text
        assert not to.exists()
    new = tmp_path / "new" / "file"
    assert xaipipe("evaluate", runs / "centre", "--limit", 1, flag, new, "--to", to)[0] == 0
    assert new.exists()


def test_a_judge_that_sees_other_inputs_is_refused(runs, xaipipe, tmp_path, monkeypatch):
    (tmp_path / "other_scale.py").write_text(
        "from pipeline.shapes import load_shapes\n"
        "def make():\n    return load_shapes()\n"  # with the usual ImageNet mean and std
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    code, text = xaipipe("evaluate", runs / "ours", "--judge", "python:other_scale:make")
    assert code == 2 and "both must see the same input" in text


def test_a_class_outside_the_objects_set_has_no_localisation(runs, xaipipe, tmp_path):
    source = (runs / "data" / "manifest.csv").read_text().splitlines()
    lines = [source[0] + ",target_set"] + [
        f"{line},{s}" for line, s in zip(source[1:], "09", strict=False)
    ]
    (runs / "data" / "sets.csv").write_text("\n".join(lines) + "\n")
    job = load_job(
        None,
        {
            "manifest": str(runs / "data" / "sets.csv"),
            "model": "builtin:shapes",
            "workers": 0,
            "areas": AREAS,
            "method": "centre",
            "out": str(tmp_path / "out"),
        },
    )
    driver.run(Request(job), lambda p: None)
    assert xaipipe("evaluate", tmp_path / "out")[0] == 0
    found = values(tmp_path / "metrics.parquet")
    assert {key[1] for key in found if key[2] == "precision"} == {"shapes-00000"}
    assert {key[1] for key in found if key[2] == "kept"} == {"shapes-00000", "shapes-00001"}


def test_the_same_again_measures_nothing_and_a_grown_run_only_what_is_new(runs, xaipipe, tmp_path):
    given = {"manifest": str(runs / "data" / "manifest.csv"), "model": "builtin:shapes"}
    given |= {"method": "centre", "areas": AREAS, "workers": 0, "out": str(tmp_path / "out")}
    driver.run(Request(load_job(None, {**given, "limit": 2})), lambda p: None)
    code, text = xaipipe("evaluate", tmp_path / "out")
    assert code == 0 and "2 images in" in text
    first = values(tmp_path / "metrics.parquet")
    driver.run(Request(load_job(None, given)), lambda p: None)
    code, text = xaipipe("evaluate", tmp_path / "out")
    assert code == 0 and "1 images in" in text and "2 were done before" in text
    second = values(tmp_path / "metrics.parquet")
    assert first.items() < second.items() and len({key[1] for key in second}) == 3
    code, text = xaipipe("evaluate", tmp_path / "out")
    assert code == 0 and "0 images in" in text
    assert values(tmp_path / "metrics.parquet") == second


def test_another_judge_is_refused_by_name_until_it_replaces_the_first(
    runs, xaipipe, tmp_path, monkeypatch
):
    (tmp_path / "second_judge.py").write_text(
        "from pipeline.images import Preprocess\n"
        "from pipeline.shapes import MEAN, SIZE, STD, load_shapes\n"
        "def make():\n"
        "    module = load_shapes()\n"
        "    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)\n"
        "    return module\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    to = ["--to", tmp_path / "m.parquet"]
    assert xaipipe("evaluate", runs / "few", "--judge", "builtin:shapes", *to)[0] == 0
    other = [runs / "few", "--judge", "python:second_judge:make", *to]
    code, text = xaipipe("evaluate", *other)
    assert (
        code == 2 and 'judge: it was made with "builtin:shapes"' in text and "--overwrite" in text
    )
    assert xaipipe("evaluate", runs / "few", *to)[0] == 0  # without a judge: nothing to refuse
    assert not any("judge" in metric for _, _, metric, _ in values(tmp_path / "m.parquet"))
    assert xaipipe("evaluate", *other, "--overwrite")[0] == 0
    assert any("judge" in metric for _, _, metric, _ in values(tmp_path / "m.parquet"))


def test_baselines_are_added_to_what_was_measured_and_others_refused_by_name(
    runs, xaipipe, tmp_path
):
    to = ["--to", tmp_path / "m.parquet"]
    assert xaipipe("evaluate", runs / "few", *to)[0] == 0
    code, text = xaipipe("evaluate", runs / "few", *to, "--baselines", "weak_blur")
    assert code == 0 and "kept_weak_blur" in text and "1 were done before" in text
    assert {a for _, _, metric, a in values(tmp_path / "m.parquet") if "weak" in metric} == {*AREAS}
    code, text = xaipipe("evaluate", runs / "few", *to, "--baselines", "weak_blur,noise")
    assert code == 2 and "no baseline 'noise'; known: weak_blur, telea" in text
    assert xaipipe("evaluate", runs / "few", *to)[0] == 0
    assert not any("weak" in metric for _, _, metric, _ in values(tmp_path / "m.parquet"))


def test_images_that_cannot_be_measured_fail_and_the_others_are_measured(runs, xaipipe, tmp_path):
    shutil.copytree(runs / "data", tmp_path / "data")
    given = {"manifest": str(tmp_path / "data" / "manifest.csv"), "model": "builtin:shapes"}
    given |= {"method": "centre", "areas": AREAS, "workers": 0, "out": str(tmp_path / "out")}
    driver.run(Request(load_job(None, given)), lambda p: None)
    next((tmp_path / "data" / "images").iterdir()).unlink()
    code, text = xaipipe("evaluate", tmp_path / "out")
    assert code == 3 and "1 failed" in text and "1 x read: there is no such file" in text
    assert len({key[1] for key in values(tmp_path / "metrics.parquet")}) == 2


def test_classes_that_differ_are_never_compared(runs, xaipipe, tmp_path):
    lines = (runs / "data" / "manifest.csv").read_text().splitlines()
    manifest = runs / "data" / "other.csv"
    cells = lines[1].split(",")
    cells[2] = "5"  # of class 0
    manifest.write_text("\n".join([lines[0], ",".join(cells), *lines[2:3]]) + "\n")
    given = {"manifest": str(manifest), "model": "builtin:shapes", "areas": AREAS}
    given |= {"method": "centre", "workers": 0, "out": str(tmp_path / "out")}
    driver.run(Request(load_job(None, given)), lambda p: None)
    code, text = xaipipe(
        "evaluate", runs / "centre", "--against", tmp_path / "out", "--to", tmp_path / "m"
    )
    assert code == 0 and "1 images, mean" in text, text
    assert "left out of centre: 2 images" in text and "left out of out: 1 images" in text
    assert "1 of the images that all runs have are explained for different classes" in text
