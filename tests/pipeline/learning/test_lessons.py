"""Lessons of a run: what is seen of its images and of mosaics, and the masks as cells."""

from pathlib import Path

import pytest
import torch

import pipeline
import pipeline.run
from inr_core import MicroBatch, PathConfig, PerturbationConfig, clues_of, disagreement, scenes
from pipeline import RequestError
from pipeline.evaluation import decode
from pipeline.images import load_image
from pipeline.learning import LearnConfig, learn, lessons_of
from pipeline.results import model_of
from pipeline.shapes import write_dataset

AREAS = (0.1, 0.3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Eight images by the start alone."""
    folder = tmp_path_factory.mktemp("lessons")
    job = pipeline.load_job(
        None,
        {
            "manifest": str(write_dataset(folder, 8, 0)),
            "model": "builtin:shapes",
            "method": "start",
            "areas": AREAS,
            "workers": 0,
            "out": str(folder / "out"),
        },
    )
    with pipeline.run.prepared(job) as request:
        pipeline.run.run(request, lambda report: None)
    return pipeline.read(str(folder / "out"))


def test_a_lesson_is_what_the_path_shows_and_the_masks_over_cells(run):
    lessons = lessons_of(run, limit=2, mosaics=False)
    assert (len(lessons), lessons.images, lessons.unreadable) == (2, 2, 0)
    classifier = model_of(run).load()
    for n, one in enumerate(run.each_explained()):
        if n == 2:
            break
        image = load_image(one.row["image"], classifier.preprocess).pixels[None]
        target = torch.tensor([one.row["target"]])
        ((scene, _),) = scenes(image, target, PerturbationConfig(), None, 1)
        own = classifier.classify, classifier.module, PathConfig(), MicroBatch(8)
        torch.testing.assert_close(
            lessons.clue_NKhw[n].float(), clues_of(scene, *own)[0], rtol=2e-3, atol=2e-3
        )
        masks = decode(one).chain[0].soft
        assert lessons.area_NA[n].tolist() == pytest.approx(AREAS)
        assert lessons.mask_NAhw[n].float().mean((1, 2)).tolist() == pytest.approx(
            masks.mean((1, 2)).tolist(), abs=1e-3
        )


def test_a_mosaic_asks_for_one_cell_and_has_its_mask_there(run):
    alone, both = (lessons_of(run, mosaics=wanted) for wanted in (False, True))
    assert len(alone) == 8
    targets = [one.row["target"] for one in run.each_explained()]
    fours = [n for n in (0, 4) if len(set(targets[n : n + 4])) == 4]
    assert len(both) == 8 + len(fours) and both.images == 8 and fours
    first = both.mask_NAhw[fours[0] + 4].float()
    h, w = first.shape[1:]
    cells = first.reshape(len(AREAS), 2, h // 2, 2, w // 2).mean((2, 4)).flatten(1)
    number = (fours[0] + 4) // 4 % 4  # which image of the four is asked for
    wanted = torch.zeros(len(AREAS), 4)
    wanted[:, number] = alone.mask_NAhw[fours[0] + number].float().mean((1, 2))
    torch.testing.assert_close(cells, wanted, rtol=0.02, atol=2e-3)
    areas = both.area_NA[fours[0] + 4].tolist()
    assert areas == pytest.approx([area / 4 for area in AREAS])


def test_learning_brings_evidence_nearer_to_the_masks_and_can_be_repeated(run):
    lessons = lessons_of(run)
    config = LearnConfig(epochs=8, batch=2, held_out=0.25)
    said, common = [], torch.get_rng_state()
    one, two = (learn([lessons], config, said.append) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), common)  # others draw from it, too
    assert one.lessons + one.held_out == len(lessons)
    assert said[0].startswith("epoch 1 of 8: loss")
    for name, value in one.start.state_dict().items():
        assert torch.equal(value, two.start.state_dict()[name])
    count = one.held_out
    held = lessons.part(slice(len(lessons) - count, None))
    losses = disagreement(
        one.start.coarse(held.clue_NKhw.float()), held.mask_NAhw.float(), held.area_NA
    )
    assert one.after == pytest.approx(losses.mean().item())
    before = disagreement(held.clue_NKhw[:, -1].float(), held.mask_NAhw.float(), held.area_NA)
    assert one.before == pytest.approx(before.mean().item())
    assert one.after < one.before


def test_runs_of_other_shapes_are_learnt_from_together(run):
    lessons = lessons_of(run, mosaics=False)
    wider = lessons.part(slice(0, 4))
    wider = type(wider)(
        torch.cat([wider.clue_NKhw] * 2, 3),
        torch.cat([wider.mask_NAhw] * 2, 3),
        wider.area_NA,
        4,
        0,
    )
    found = learn([lessons, wider], LearnConfig(epochs=1, batch=4, held_out=0.25))
    assert (found.lessons, found.held_out) == (9, 3)


def test_what_there_is_nothing_to_learn_from_is_said(run, tmp_path):
    with pytest.raises(RequestError, match="1 images, of which 0 would be held out"):
        learn([lessons_of(run, limit=1)], LearnConfig())
    for one in run.each_explained():
        (tmp_path / Path(one.row["image"]).name).write_bytes(b"no image")
    with pytest.raises(RequestError, match="nothing to learn from"):
        lessons_of(run, root=str(tmp_path))
    for bad in ({"held_out": 1.0}, {"epochs": 0}):
        with pytest.raises(RequestError, match=f"{next(iter(bad))} is"):
            LearnConfig(**bad)
