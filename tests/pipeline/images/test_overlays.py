"""Styles of masks over images, and sheets of them."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from pipeline.images.overlays import STYLES, overlay
from pipeline.images.sheets import clipped, sheet
from tests.pictures import picture

SIZE = (240, 210)


@pytest.fixture
def disc():
    row, column = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.where((row - 100) ** 2 + (column - 90) ** 2 < 50**2, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("style", [s for s in STYLES if s != "heat"])
def test_the_inside_of_the_mask_is_the_image_itself(disc, style):
    image = picture(*SIZE)
    drawn = np.array(overlay(image, disc, style=style))
    assert np.array_equal(drawn[disc == 255], np.array(image)[disc == 255])


def test_an_outline_changes_a_rim_outside_the_mask_and_nothing_else(disc):
    image = picture(*SIZE)
    changed = (np.array(overlay(image, disc, style="outline")) != np.array(image)).any(-1)
    row, column = np.nonzero(changed)
    distance = np.hypot(row - 100, column - 90)
    assert 48 <= distance.min() and distance.max() <= 58 and changed.sum() > 2 * np.pi * 50 * 2


def test_outside_blur_is_smooth_and_dim_is_grey(disc):
    image = picture(*SIZE)
    far = np.s_[170:, 170:]
    steps = [
        np.abs(np.diff(np.array(shown)[far].astype(int), axis=0)).mean()
        for shown in (image, overlay(image, disc, style="blur"))
    ]
    assert steps[1] < 0.3 * steps[0]
    dim = np.array(overlay(image, disc, style="dim"))[far]
    assert (dim == dim[..., :1]).all() and dim.max() < 140


def test_heat_goes_from_black_to_yellow_over_a_grey_image():
    image = Image.new("RGB", (256, 210), (128, 128, 128))
    ramp = np.tile(np.arange(256, dtype=np.uint8), (210, 1))
    drawn = np.array(overlay(image, ramp, style="heat"))[0].astype(int)
    assert (np.diff(drawn[:, 0]) >= 0).all() and (np.diff(drawn.sum(1)) >= -3).all()
    assert drawn[0].max() < 60 and drawn[255, 0] > 190 and drawn[255, 0] > drawn[255, 2]


def test_texts_that_do_not_fit_end_in_an_ellipsis():
    font = ImageFont.load_default(13)
    short = clipped("an id that is much too long for its tile", 100, font)
    assert short.endswith("…") and font.getlength(short) <= 100
    assert "an id that is much too long".startswith(short[:-1]) and len(short) > 5
    assert clipped("short", 100, font) == "short"


def test_a_sheet_has_room_for_the_lines_of_its_captions():
    tile = (Image.new("RGB", (50, 50)), "one")
    lines = (Image.new("RGB", (50, 50)), "one\ntwo\nthree")
    one, two = (sheet([[tile, other]], "title", tile=50) for other in (tile, lines))
    assert two.height - one.height == 2 * 18 and two.width == one.width
    written = np.array(two)[-20:, 62:] < 128
    assert written.any() and not (np.array(two)[-20:, :50] < 128).any()
