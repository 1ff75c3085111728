"""Inpainting: what is known stays, the rest follows from it, on the scale of the classifier."""

import sys

import numpy as np
import pytest
import torch

from pipeline.errors import RequestError
from pipeline.evaluation.baselines import available, parse_baselines
from pipeline.evaluation.inpainting import inpainted
from pipeline.images import Preprocess

GENERATOR = torch.Generator().manual_seed(25)
BGR = Preprocess(channels="bgr", mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))


def pictures():
    """Levels (N, C, H, W) and the input they make."""
    levels = torch.randint(256, (2, 3, 20, 24), generator=GENERATOR)
    mean, std = (torch.tensor(v)[:, None, None] for v in BGR.scale)
    return levels, (levels / 255 - mean) / std


def known():
    mask = torch.zeros(2, 3, 20, 24, dtype=torch.bool)
    mask[0, 0, 5:15, 6:18] = True
    mask[0, 1] = True
    mask[1, 0, :, :12] = True
    mask[1, 2, 3, 4] = True
    return mask


def test_every_mask_is_filled_as_opencv_fills_the_picture():
    cv2 = pytest.importorskip("cv2")
    (levels, image), mask = pictures(), known()
    found = inpainted(image, mask, BGR)
    assert found.shape == (2, 3, 3, 20, 24)
    mean, std = (torch.tensor(v)[:, None, None] for v in BGR.scale)
    for n, a in ((0, 0), (1, 0), (1, 2)):
        picture = levels[n].permute(1, 2, 0).numpy().astype(np.uint8)
        hole = (~mask[n, a]).numpy().astype(np.uint8)
        picture[hole > 0] = picture[hole == 0].mean(0).round()
        wanted = torch.from_numpy(cv2.inpaint(picture, hole, 3, cv2.INPAINT_TELEA))
        wanted = (wanted.permute(2, 0, 1) / 255 - mean) / std
        torch.testing.assert_close(found[n, a], wanted, atol=1e-5, rtol=0)
    assert torch.equal(found[0, 1], image[0])  # all is known


def test_nothing_of_what_is_hidden_can_be_seen():
    pytest.importorskip("cv2")
    (_, image), mask = pictures(), known()
    other = torch.where(mask[:, :1], image, image.flip(3))
    one, two = (inpainted(given, mask[:, :1], BGR) for given in (image, other))
    assert torch.equal(one, two) and not torch.equal(image, other)


def test_a_picture_of_which_nothing_is_known_becomes_its_mean_colour():
    pytest.importorskip("cv2")
    levels, image = pictures()
    found = inpainted(image, torch.zeros(2, 1, 20, 24, dtype=torch.bool), BGR)
    mean, std = (torch.tensor(v)[:, None, None] for v in BGR.scale)
    wanted = (levels.double().mean((2, 3), keepdim=True).round() / 255 - mean) / std
    torch.testing.assert_close(found[:, 0], wanted.float().expand_as(image), atol=1e-5, rtol=0)


def test_names_of_baselines(monkeypatch):
    assert parse_baselines("none") == () and parse_baselines("weak_blur") == ("weak_blur",)
    with pytest.raises(RequestError, match="no baseline 'mean'; known: weak_blur, telea, or none"):
        parse_baselines("weak_blur,mean")
    assert "weak_blur" in available()


def test_without_opencv_its_baseline_is_left_out_and_the_extra_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert available() == ("weak_blur",)
    with pytest.raises(RequestError, match=r"needs OpenCV: pip install \"xaipipe\[peers\]\""):
        parse_baselines("telea")
