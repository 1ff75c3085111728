"""What is seen of an image: as timm's transforms do it, and masks come back to their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from inr_core import METHODS
from pipeline.errors import ImageError
from pipeline.images import Preprocess, load_image, normalise
from pipeline.images.loading import prepared
from pipeline.images.truth import truth_on_input
from pipeline.tables import ExplainedImage, RunSettings, png
from tests.pictures import picture, saved

SIZES = [(301, 222), (97, 240), (224, 224), (40, 31)]  # width, height
WAYS = {
    "crop": Preprocess(),
    "crop, not square": Preprocess(resize=(120, 200), crop=(100, 180)),
    "squash": Preprocess(resize=128, crop=128, fit="squash"),
    "squash and cut, not square": Preprocess(resize=(90, 150), crop=(80, 111), fit="squash"),
    "pad": Preprocess(resize=128, crop=128, fit="pad"),
    "pad, not square": Preprocess(resize=(100, 160), crop=(100, 160), fit="pad"),
    "pad a smaller one": Preprocess(resize=100, crop=130, fit="pad", fill=(255, 0, 9)),
    "fit and cut": Preprocess(resize=160, crop=128, fit="pad"),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("wanted", [(96, 96), (64, 120)], ids=str)
@pytest.mark.parametrize("part", [1.0, 0.8])
def test_it_is_what_timm_does(size, mode, wanted, part) -> None:
    image = picture(*size)
    transform = create_transform(
        input_size=(3, *wanted), crop_pct=part, crop_mode=mode, interpolation="bicubic"
    )
    fields = Preprocess(
        resize=tuple(int(side / part) for side in wanted),
        crop=wanted,
        interpolation="bicubic",
        fit={"center": "crop", "squash": "squash", "border": "pad"}[mode],
    )
    assert torch.equal(prepared(image, fields).pixels, transform(image))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_show_the_places_that_the_box_says(way: str, size: tuple[int, int]) -> None:
    preprocess, (width, height) = WAYS[way], size
    x, y = (np.arange(length) + 0.5 for length in size)
    across, down = np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))
    levels = [255 * (across / width), 255 * (down / height), np.full((height, width), 255)]
    image = Image.fromarray(np.stack(levels, -1).astype(np.uint8))
    loaded = prepared(image, preprocess)
    x0, y0, x1, y1 = loaded.crop
    rows, columns = loaded.rgb.shape[1:]
    at_x = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns
    at_y = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows
    inside = np.outer((at_y > 1) & (at_y < height - 1), (at_x > 1) & (at_x < width - 1))
    red, green, blue = loaded.rgb.double().numpy()
    assert (blue[inside] == 255).all() and inside.any()
    off_x, off_y = np.abs(red - 255 * at_x / width), np.abs(green - 255 * at_y[:, None] / height)
    assert off_x[inside].max() < 3 and off_y[inside].max() < 3
    beyond = ~np.outer((at_y > 0) & (at_y < height), (at_x > 0) & (at_x < width))
    assert (red[beyond] == preprocess.colour[0]).all()
    assert not beyond.any() or preprocess.fit == "pad"


@pytest.mark.parametrize("way", WAYS)
def test_a_region_of_the_original_is_the_region_of_the_mask(way: str, tmp_path: Path) -> None:
    width, height, (left, top, right, bottom) = 300, 220, (110, 70, 190, 150)
    region = np.zeros((height, width), np.uint8)
    region[top:bottom, left:right] = 255
    file = saved(tmp_path / "region.png", Image.fromarray(region))
    preprocess = WAYS[way]
    loaded = load_image(file, preprocess)
    mask = (loaded.rgb[1] > 127).numpy().astype(np.uint8) * 255
    if preprocess.fill:  # whose green is 0, and red not
        assert (loaded.rgb[0] > 127).sum() > (mask > 0).sum()
    names = ("x0", "y0", "x1", "y1")
    row = {
        "id": "a",
        "width": width,
        "height": height,
        "crop": dict(zip(names, loaded.crop, strict=True)),
        "mask": file,
    }
    config = METHODS["centre"].config(areas=(0.1,))
    settings = RunSettings("here", "centre", config, False, preprocess.size)
    where = {"restart": 0, "round": 0}
    one = ExplainedImage(
        row,
        [{**where, "best": True, "minimal_area": None}],
        [{**where, "area": 0.1, "mask": {"bytes": png(mask)}}],
        settings,
    )
    found, wanted = one.original(0.1) > 127, region > 127
    assert found.shape == wanted.shape
    assert (found & wanted).sum() / (found | wanted).sum() > 0.93
    truth = truth_on_input(row, preprocess)
    assert truth is not None
    assert (truth.object & (mask > 0)).sum() / (truth.object | (mask > 0)).sum() > 0.93


def test_an_object_at_the_border_does_not_reach_into_the_padding(tmp_path: Path) -> None:
    file = saved(tmp_path / "all.png", Image.new("L", (100, 50), 255))
    preprocess = Preprocess(resize=32, crop=32, fit="pad")
    crop = dict(zip(("x0", "y0", "x1", "y1"), load_image(file, preprocess).crop, strict=True))
    assert crop == {"x0": 0, "y0": -25, "x1": 100, "y1": 75}
    row = {"width": 100, "height": 50, "crop": crop, "mask": file}
    truth = truth_on_input(row, preprocess)
    assert truth is not None
    assert truth.object[8:24].all() and truth.object.sum() == 16 * 32


def test_channels() -> None:
    image = picture(60, 40)
    rgb = prepared(image, Preprocess(resize=32, crop=32))
    bgr = prepared(image, Preprocess(resize=32, crop=32, channels="bgr"))
    assert torch.equal(bgr.rgb, rgb.rgb.flip(0)) and torch.equal(bgr.pixels, rgb.pixels.flip(0))
    grey = prepared(image, Preprocess(resize=32, crop=32).override("channels=grey"))
    transform = create_transform(
        input_size=(1, 32, 32), crop_pct=1, interpolation="bilinear", mean=(0.449,), std=(0.226,)
    )
    torch.testing.assert_close(grey.pixels, transform(image.convert("L")))
    other = Preprocess(resize=32, crop=32, mean=(0.5, 0.5, 0.5))
    assert rgb.preprocess.look == other.look != bgr.preprocess.look
    assert torch.equal(normalise(rgb.rgb, other), prepared(image, other).pixels)
    assert grey.preprocess.look != rgb.preprocess.look


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_thin_strip_is_refused_only_where_it_would_become_large(fit) -> None:
    strip = Image.new("RGB", (60_000, 7))
    if fit != "crop":
        assert prepared(strip, Preprocess(fit=fit)).rgb.shape == (3, 224, 224)
        return
    with pytest.raises(ImageError, match="too thin a strip"):
        prepared(strip, Preprocess(fit=fit))
