"""Drawings of one image: heat, areas that grow, contact sheets, animations."""

import io

import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline import RequestError
from pipeline.images.overlays import COLOURS
from pipeline.results.animation import FRAMES, LINE, animate
from pipeline.results.drawing import Drawing
from pipeline.results.gallery import Gallery, contact_sheets

ROTATED = "rotated/ü 1"


@pytest.fixture(scope="module")
def gallery(shapes_run):
    return Gallery(pipeline.read(str(shapes_run)), ROTATED)


def test_the_image_is_upright_and_masks_lie_on_what_the_classifier_saw(gallery):
    assert gallery.original.size == (200, 300)
    (mask,) = gallery.masks([0.2], restart=0, round_=0)
    assert not mask[:50].any() and not mask[250:].any()
    assert mask[50:250].mean() / 255 == pytest.approx(0.2, abs=0.002)
    assert np.array_equal(mask, gallery.reader.render(ROTATED, 0.2, restart=0, original=True))


def test_heat_is_the_mean_of_masks_of_many_areas(gallery):
    areas = gallery.growing(12)
    assert len(areas) == 12 and areas[0] <= 0.02 and areas == sorted(areas)
    ratios = np.diff(np.log(areas))
    assert np.allclose(ratios, ratios[0])
    masks = [gallery.masks([area], restart=1, round_=0)[0].astype(float) for area in areas]
    assert np.abs(gallery.heat(1, 0) - np.mean(masks, 0)).max() <= 0.5
    (first, *_) = gallery.pictures(style="heat")
    assert first.area is None and len(list(gallery.pictures(style="heat"))) == 4


def test_later_rounds_grow_only_as_far_as_they_have_room(gallery):
    assert max(gallery.growing(12, 1)) <= gallery.one.settings.largest_area(1)


def test_the_telling_area_is_the_stored_one_above_the_minimal_one_or_the_middle_one(gallery):
    one = gallery.one
    best = dict(one.best())
    for minimal, expected in ((0.05, 0.05), (0.0375, 0.05), (0.06, 0.2), (None, 0.2)):
        changed = [{**e, "minimal_area": minimal} for e in one.explanations]
        assert type(one)(one.row, changed, one.masks, one.settings).telling_area() == expected
    assert gallery.best().restart == best["restart"]


def test_an_animation_grows_from_frame_to_frame(gallery):
    data = animate(gallery, "dim")
    clip = Image.open(io.BytesIO(data))
    assert clip.format == "WEBP" and clip.n_frames == FRAMES
    assert clip.size == (200, 300 + LINE)
    coloured = []
    for n in range(FRAMES):
        clip.seek(n)
        pixels = np.array(clip.convert("RGB"))[:300].astype(int)
        coloured.append((np.ptp(pixels, axis=-1) > 25).mean())  # grey outside the mask
    assert coloured[-1] > 3 * coloured[0]
    assert np.mean(np.diff(coloured) >= -0.01) > 0.9
    with pytest.raises(RequestError, match="heat"):
        animate(gallery, "heat")


def test_contact_sheets_have_a_tile_for_each_image_and_pages(gallery):
    few = [(gallery, f"note {n}") for n in range(7)]
    (page,) = contact_sheets(few, "title", None, "dim")
    (one,) = contact_sheets(few[:1], "title", None, "dim")
    assert page.width == 5 * 246 + 6 and page.height > 1.9 * one.height
    pages = list(contact_sheets([(gallery, "")] * 61, "title", None, "outline"))
    assert len(pages) == 2 and pages[1].height < pages[0].height
    (rows,) = contact_sheets(few[:2], "title", [0.05, 0.13, 0.2], "blur")
    assert rows.width == 4 * 246 + 6


def test_a_second_round_is_blue(gallery):
    picture = gallery.picture(0.2, restart=0, round_=1, style="outline")
    pixels = np.array(picture.image).reshape(-1, 3)
    assert (pixels == COLOURS[1]).all(1).any() and not (pixels == COLOURS[0]).all(1).any()


def test_large_photographs_are_scaled_down(gallery, shapes_run):
    small = Drawing(gallery.one, gallery.original, longest_side=150)
    assert small.original.size == (100, 150) and small.best().image.size == (100, 150)
