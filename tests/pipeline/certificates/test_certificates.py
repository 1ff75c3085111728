"""Certificates of a run: re-derived mask by mask, and summed up by area."""

import shutil

import numpy as np
import pytest
import torch

import pipeline
from inr_core import gaussian_blur, metrics
from pipeline import RequestError
from pipeline.certificates import CertificateConfig, by_area, certificates_of
from pipeline.certificates.certifier import Certifier, Sampling
from pipeline.classifiers import load_classifier
from pipeline.images import load_image
from pipeline.results import model_of
from tests.analyses import analyse, rows

CONFIG = CertificateConfig(radius=12, patches=8, error=0.3, doubt=0.3)


@pytest.fixture(scope="module")
def out(shapes_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("certificates") / "out"
    shutil.copytree(shapes_run, out)
    analyse(out, certificates_of(pipeline.read(str(out)), CONFIG))
    return out


def test_a_row_for_every_mask_of_the_best_restart(out):
    reader = pipeline.read(str(out))
    best = [m for m in reader.masks.to_table().to_pylist() if m["best"]]
    keys = ("id", "target", "restart", "round", "area")
    found = rows(out, "certificates")
    assert {tuple(r[k] for k in keys) for r in found} == {tuple(m[k] for k in keys) for m in best}
    assert len(found) == len(best) > 0
    assert {(r["radius"], r["samples"]) for r in found} == {(12, 11)}


def test_shares_are_those_of_one_image_after_another(out):
    """Masks made patch by patch from the same sets, and shown one at a time."""
    reader, classifier = pipeline.read(str(out)), load_classifier("builtin:shapes")
    sampling = Sampling(radius=12, patches=8, samples=11, seed=0)
    certifier = Certifier(model_of(reader, None), sampling, "cpu")
    for row in rows(out, "certificates")[:3]:
        key = {k: row[k] for k in ("id", "target", "restart", "round", "area")}
        place = {"restart": row["restart"], "round": row["round"]}
        mask = torch.from_numpy(np.array(reader.stored_mask(row["id"], row["area"], **place)))
        hard = metrics.top_area(mask[None] / 255, [row["area"]])[0]
        number = metrics.patch_numbers(8, (128, 128))
        hidden = metrics.hidden_patches(hard, number)
        chosen = metrics.further_reveals(len(hidden), 12, 11, certifier.generator(key))
        image = load_image(reader.image(row["id"])["image"], classifier.preprocess).pixels[None]
        behind = gaussian_blur(image, 0.09 * 128)
        classes = []
        for sample in [torch.zeros(len(hidden), dtype=torch.bool), *chosen]:
            shown = hard.clone()
            for patch in hidden[sample].tolist():
                shown |= number == patch
            soft = metrics.feathered(shown.float()[None, None])
            classes.append(int(classifier.classify(soft * image + (1 - soft) * behind).argmax()))
        assert row["predicted"] == classes[0]
        assert row["certified"] == pytest.approx(np.mean(np.array(classes[1:]) == classes[0]))


def test_a_mask_is_certified_alike_whatever_else_is(out, shapes_run, tmp_path):
    alone = tmp_path / "out"
    shutil.copytree(shapes_run, alone)
    kind = certificates_of(pipeline.read(str(alone)), CONFIG)
    analyse(alone, kind, only={"shapes-00001"})
    whole = [r for r in rows(out, "certificates") if r["id"] == "shapes-00001"]
    assert whole and rows(alone, "certificates") == whole


def test_by_area_counts_only_masks_that_are_right_where_it_asks_how_often_they_stay(out):
    found = by_area(pipeline.read(str(out)))
    every = rows(out, "certificates")
    assert [(c.round, c.area) for c in found] == sorted({(r["round"], r["area"]) for r in every})
    for c in found:
        own = [r for r in every if (r["round"], r["area"]) == (c.round, c.area)]
        right = [r["certified"] for r in own if r["predicted"] == r["target"]]
        assert (c.masks, c.right) == (len(own), pytest.approx(len(right) / len(own)))
        assert c.certified == (pytest.approx(np.mean(right)) if right else None)
        assert c.sure == (pytest.approx(np.mean(np.array(right) >= 0.9)) if right else None)


def test_the_command_and_the_page_show_it(xaipipe, shapes_run, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shapes_run, out)
    code, text = xaipipe("certify", out, "--error", 0.3, "--doubt", 0.3, "--workers", 0)
    assert code == 0 and "stays: how often this prediction stays" in text, text
    assert xaipipe("certify", out, "--error", 0.3, "--doubt", 0.3, "--workers", 0)[0] == 0
    code, text = xaipipe("certify", out, "--workers", 0)
    assert code == 2 and "error" in text
    code, text = xaipipe("report", out)
    assert code == 0, text
    page = next(tmp_path.glob("**/*.html")).read_text()
    assert "up to 20 further patches are revealed" in " ".join(page.split())


@pytest.mark.parametrize(
    "wrong", [{"radius": 0}, {"radius": 17, "patches": 4}, {"error": 0}, {"doubt": 1}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(RequestError):
        CertificateConfig(**wrong)
