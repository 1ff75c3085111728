"""The embedded classifier and its images: what the demo calls ground truth must be true."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from pipeline.shapes import (
    CLASSES,
    CUES,
    MEAN,
    SIZE,
    STD,
    ShapesImage,
    ShapesNetwork,
    generate,
    load_shapes,
    write_dataset,
)
from pipeline.shapes.network import WEIGHTS
from pipeline.shapes.train import (
    Pool,
    TrainConfig,
    blur_matrix,
    make_pool,
    save,
    soft_targets,
    train,
)

SEED = 77  # of images that training did not see
SIGMA = 0.09 * SIZE


@pytest.fixture(scope="module")
def network() -> ShapesNetwork:
    return load_shapes()


@pytest.fixture(scope="module")
def unseen() -> list[ShapesImage]:
    return [generate(index, seed=SEED) for index in range(100)]


def images(items: list[ShapesImage]) -> Tensor:
    """Images (N, 3, H, W) in 0..1."""
    return torch.from_numpy(np.stack([item.pixels for item in items])).permute(0, 3, 1, 2) / 255


def probabilities(network: ShapesNetwork, image: Tensor) -> Tensor:
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    logits: Tensor = network((image - mean) / std)
    return logits.softmax(1)


def blurred(image: Tensor) -> Tensor:
    """By rows, then by columns: a full two-dimensional kernel takes seconds."""
    result: Tensor = gaussian_blur(gaussian_blur(image, [91, 1], [SIGMA, 1]), [1, 91], [1, SIGMA])
    return result


def of_label(found: Tensor, items: list[ShapesImage]) -> float:
    """Mean probability of the label."""
    return float(np.mean([row[item.label] for row, item in zip(found, items, strict=True)]))


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    grey = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.MaxFilter(2 * pixels + 1))) > 0


def kept(items: list[ShapesImage], masks: list[np.ndarray]) -> Tensor:
    """Images with everything blurred outside the masks, which are dilated by 2 pixels."""
    image = images(items)
    mask = torch.from_numpy(np.stack([dilated(mask, 2) for mask in masks]))[:, None]
    return torch.where(mask, image, blurred(image))


def test_images_are_deterministic_and_differ() -> None:
    first, again = generate(12, seed=3), generate(12, seed=3)
    assert first.label == 2
    assert first.pixels.dtype == np.uint8 and first.pixels.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.object_mask, again.object_mask)
    for other in (generate(13, seed=3, label=2), generate(12, seed=4)):
        assert (first.pixels != other.pixels).mean() > 0.9


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_masks_are_where_the_evidence_is(label: int) -> None:
    full = generate(5, seed=SEED, label=label)
    without_object = generate(5, seed=SEED, label=label, with_object=False)
    changed = (full.pixels != without_object.pixels).any(2)
    assert not changed[~full.object_mask].any()
    assert changed[full.object_mask].mean() > 0.97
    assert not without_object.object_mask.any()
    assert 0.08 <= full.object_mask.mean() <= 0.14


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_cues_are_where_they_are_said_to_be(label: int) -> None:
    full = generate(6, seed=SEED, label=label)
    without_cue = generate(6, seed=SEED, label=label, with_cue=False)
    changed = (full.pixels != without_cue.pixels).any(2)
    assert without_cue.cue_mask is None
    assert (full.cue_mask is not None) == (label in CUES)
    if full.cue_mask is None:
        assert not changed.any()
        return
    assert not changed[~full.cue_mask].any()
    assert changed[full.cue_mask].mean() > 0.97
    assert 0.05 <= full.cue_mask.mean() <= 0.09


def test_object_and_cue_keep_apart_and_inside(unseen: list[ShapesImage]) -> None:
    for item in unseen:
        evidence = item.object_mask if item.cue_mask is None else item.object_mask | item.cue_mask
        inside = evidence[2:-2, 2:-2]
        assert inside.sum() == evidence.sum()
        if item.cue_mask is not None:
            assert not (dilated(item.object_mask, 2) & dilated(item.cue_mask, 2)).any()


def test_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label is 10, expected 0 to 9"):
        generate(0, seed=0, label=10)


def test_network_is_small_frozen_and_float32(network: ShapesNetwork) -> None:
    assert WEIGHTS.stat().st_size < 1e6
    assert not network.training
    parameters = list(network.parameters())
    assert 100_000 < sum(parameter.numel() for parameter in parameters) < 250_000
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in parameters)


def test_unseen_images_are_classified(network: ShapesNetwork, unseen: list[ShapesImage]) -> None:
    found = probabilities(network, images(unseen))
    labels = torch.tensor([item.label for item in unseen])
    assert (found.argmax(1) == labels).double().mean() >= 0.95
    assert of_label(found, unseen) > 0.85


def test_colour_carries_no_class(network: ShapesNetwork, unseen: list[ShapesImage]) -> None:
    labels = torch.tensor([item.label for item in unseen])
    for image in (images(unseen)[:, [2, 0, 1]], images(unseen).mean(1, keepdim=True)):
        found = probabilities(network, image.expand(-1, 3, -1, -1))
        assert (found.argmax(1) == labels).double().mean() >= 0.9


def test_either_evidence_suffices_and_nothing_else_does(network: ShapesNetwork) -> None:
    def mean_score(**parts: bool) -> float:
        labels = list(CUES) * 8
        items = [generate(i, seed=SEED, label=label, **parts) for i, label in enumerate(labels)]
        return of_label(probabilities(network, images(items)), items)

    assert mean_score(with_cue=False) > 0.85
    assert mean_score(with_object=False) > 0.8
    assert mean_score(with_object=False, with_cue=False) < 0.2


def test_blurring_hides_evidence(network: ShapesNetwork, unseen: list[ShapesImage]) -> None:
    nothing = [np.zeros_like(item.object_mask) for item in unseen]
    assert of_label(probabilities(network, kept(unseen, nothing)), unseen) < 0.2
    objects = [item.object_mask for item in unseen]
    assert of_label(probabilities(network, kept(unseen, objects)), unseen) > 0.8
    both = [item for item in unseen if item.cue_mask is not None]
    cues = [item.cue_mask for item in both if item.cue_mask is not None]
    assert of_label(probabilities(network, kept(both, cues)), both) > 0.7
    neither = [~dilated(item.object_mask | cue, 4) for item, cue in zip(both, cues, strict=True)]
    assert of_label(probabilities(network, kept(both, neither)), both) < 0.3


def test_dataset_reads_back(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "shapes", 4, seed=9)
    assert manifest == tmp_path / "shapes" / "manifest.csv"
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "image", "target", "mask", "cue_mask", "bbox"]
    assert len({row["id"] for row in rows}) == 4
    assert [row["target"] for row in rows] == list(CLASSES[:4])
    for index, row in enumerate(rows):
        item = generate(index, seed=9)
        mask = np.asarray(Image.open(manifest.parent / row["mask"])) == 255
        np.testing.assert_array_equal(Image.open(manifest.parent / row["image"]), item.pixels)
        np.testing.assert_array_equal(mask, item.object_mask)
        assert bool(row["cue_mask"]) == (item.cue_mask is not None)
        if item.cue_mask is not None:
            cue = np.asarray(Image.open(manifest.parent / row["cue_mask"])) == 255
            np.testing.assert_array_equal(cue, item.cue_mask)
        x0, y0, x1, y1 = map(int, row["bbox"].split(","))
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
        sides = mask[y0, x0:x1], mask[y1 - 1, x0:x1], mask[y0:y1, x0], mask[y0:y1, x1 - 1]
        assert all(side.any() for side in sides)


def test_blur_matrix_is_a_gaussian_blur(unseen: list[ShapesImage]) -> None:
    image, matrix = images(unseen[:2]), blur_matrix(SIGMA)
    expected = gaussian_blur(image, [127, 127], [SIGMA, SIGMA])
    torch.testing.assert_close(matrix @ image @ matrix.T, expected, atol=1e-4, rtol=0)


def test_targets_follow_what_is_visible() -> None:
    evidence = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    evidence[0, 0, :2], evidence[0, 1, 3] = True, True  # object of 8 pixels, cue of 4
    mask = torch.zeros(1, 1, 4, 4)

    def label_probability() -> float:
        target = soft_targets(torch.tensor([3]), evidence, mask, smoothing=0.0)
        assert target.sum().item() == pytest.approx(1)
        return target[0, 3].item()

    assert label_probability() == pytest.approx(0.1)
    mask[0, 0, 0] = 1.0  # half of the object: half of the way from uniform to certain
    assert label_probability() == pytest.approx(0.55)
    mask[0, 0, 3] = 1.0  # all of the cue
    assert label_probability() == pytest.approx(1.0)


def test_training_learns_is_seeded_and_survives_rounding(tmp_path: Path) -> None:
    config = TrainConfig(images=19, steps=40, batch=8)
    whole = make_pool(config)  # whose first turn through the classes shows no evidence
    last = slice(15, 19)
    pool = Pool(images=whole.images[last], evidence=whole.evidence[last], labels=whole.labels[last])
    trained, losses = train(pool, config)
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.2
    short = replace(config, steps=3)
    once, again, other = (train(pool, replace(short, seed=seed))[1] for seed in (1, 1, 2))
    assert once == pytest.approx(again, rel=1e-6)
    assert once != pytest.approx(other, rel=1e-6)
    save(trained, tmp_path / "weights.pt")
    image = images([generate(0, seed=SEED)])
    expected = probabilities(trained, image)
    found = probabilities(load_shapes(tmp_path / "weights.pt"), image)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)
