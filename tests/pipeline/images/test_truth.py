"""Ground truth: what is read from each encoding, and where it lies in the classifier's input."""

from fractions import Fraction
from math import floor

import fsspec
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images import Preprocess, load_image
from pipeline.images.truth import read_truth, read_values, truth_on_input

MISLEADING = bytes(channel for n in range(256) for channel in (255 - n, n, 7))  # a palette


def saved(path, values, mode):
    """A mask file that holds these values in one of the encodings."""
    values = np.asarray(values)
    if mode == "P":
        image = Image.fromarray(values.astype(np.uint8))
        image.putpalette(MISLEADING)
        assert image.mode == "P"
    elif mode == "RGB":
        channels = [values % 256, values // 256, np.zeros_like(values)]
        image = Image.fromarray(np.stack(channels, -1).astype(np.uint8))
    else:
        image = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8))
        image = image.convert("1") if mode == "1" else image
    image.save(path)
    return str(path)


def expect(truth, object_, ignore):
    assert truth.object.dtype == truth.ignore.dtype == bool
    assert truth.object.astype(int).tolist() == object_
    assert truth.ignore.astype(int).tolist() == ignore


@pytest.mark.parametrize(
    ("mode", "values", "value", "object_", "ignore"),
    [
        ("P", [[0, 3], [15, 255]], 3, [[0, 1], [0, 0]], [[0, 0], [0, 1]]),
        ("P", [[0, 3], [15, 255]], 7, [[0, 0], [0, 0]], [[0, 0], [0, 1]]),
        ("P", [[0, 3], [15, 255]], 255, [[0, 0], [0, 1]], [[0, 0], [0, 0]]),
        ("P", [[0, 3], [15, 255]], None, [[0, 1], [1, 0]], [[0, 0], [0, 1]]),
        ("P", [[0, 0], [255, 255]], None, [[0, 0], [1, 1]], [[0, 0], [0, 0]]),
        ("L", [[0, 3], [15, 255]], 15, [[0, 0], [1, 0]], [[0, 0], [0, 1]]),
        ("L", [[0, 3], [15, 255]], None, [[0, 1], [1, 1]], [[0, 0], [0, 0]]),
        ("1", [[0, 255], [0, 255]], None, [[0, 1], [0, 1]], [[0, 0], [0, 0]]),
        ("1", [[0, 255], [0, 255]], 1, [[0, 1], [0, 1]], [[0, 0], [0, 0]]),
        ("I;16", [[0, 300], [44, 255]], 300, [[0, 1], [0, 0]], [[0, 0], [0, 1]]),
        ("RGB", [[0, 1], [257, 1000]], 1, [[0, 1], [0, 0]], [[0, 0], [0, 1]]),
        ("RGB", [[0, 1], [257, 1000]], 257, [[0, 0], [1, 0]], [[0, 0], [0, 1]]),
        ("RGB", [[0, 255], [256, 919]], 919, [[0, 0], [0, 1]], [[0, 0], [0, 0]]),
        ("RGB", [[0, 1], [256, 1000]], None, [[0, 1], [1, 1]], [[0, 0], [0, 0]]),
    ],
)
def test_every_encoding(tmp_path, mode, values, value, object_, ignore):
    path = saved(tmp_path / "mask.png", values, mode)
    expect(read_truth(path, value), object_, ignore)
    if mode != "1":
        assert read_values(path).tolist() == values


def test_blue_counts_as_a_pixel_that_is_not_zero_but_never_as_a_class(tmp_path):
    pixels = np.array([[[0, 0, 0], [0, 0, 9], [5, 0, 9]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    expect(read_truth(str(tmp_path / "mask.png")), [[0, 1, 1]], [[0, 0, 0]])
    expect(read_truth(str(tmp_path / "mask.png"), 5), [[0, 0, 1]], [[0, 0, 0]])


def test_transparent_pixels_are_zero(tmp_path):
    colour = np.array([[[9, 0, 0, 0], [9, 0, 0, 255], [0, 0, 0, 255]]], np.uint8)
    Image.fromarray(colour).save(tmp_path / "rgba.png")
    Image.fromarray(colour[..., [0, 3]], "LA").save(tmp_path / "la.png")
    for name in ("rgba.png", "la.png"):
        for value in (None, 9):
            expect(read_truth(str(tmp_path / name), value), [[0, 1, 0]], [[0, 0, 0]])


def test_a_mask_at_a_url(tmp_path):
    path = saved(tmp_path / "mask.png", [[0, 2]], "P")
    with fsspec.open("memory://truth/mask.png", "wb") as file, open(path, "rb") as source:
        file.write(source.read())
    expect(read_truth("memory://truth/mask.png", 2), [[0, 1]], [[0, 0]])


def test_masks_that_cannot_be_read(tmp_path):
    def reason(name):
        with pytest.raises(ImageError) as caught:
            read_truth(str(tmp_path / name))
        assert caught.value.stage == "truth"
        assert str(tmp_path / name) in caught.value.reason
        return caught.value.reason

    assert "does not exist" in reason("gone.png")
    assert "cannot be read: Is a directory" in reason(".")
    (tmp_path / "text.png").write_text("these are words")
    assert "cannot be decoded" in reason("text.png") and "0x" not in reason("text.png")
    whole = saved(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (64, 64)), "L")
    with open(whole, "rb") as file:
        (tmp_path / "half.png").write_bytes(file.read()[:300])
    assert "cannot be decoded" in reason("half.png")
    Image.new("L", (4, 4)).save(tmp_path / "mask.jpg")
    assert "is a JPEG" in reason("mask.jpg") and "PNG" in reason("mask.jpg")
    Image.new("CMYK", (4, 4)).save(tmp_path / "mask.tif")
    assert "mode CMYK" in reason("mask.tif")


# In the classifier's input


def row_of(loaded, **truth):
    """What the table `images` says of an image."""
    crop = dict(zip(("x0", "y0", "x1", "y1"), loaded.crop, strict=True))
    return {"crop": crop, "width": loaded.width, "height": loaded.height, **truth}


def rectangle(width, height, x0, y0, x1, y1):
    pixels = np.zeros((height, width), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    return pixels


def exact_centres(size, preprocess):
    """Centres of the input's rows, and of its columns, in original pixels, as fractions."""
    shorter = preprocess.resize
    resized = [shorter if side == min(size) else shorter * side // min(size) for side in size]
    centres = []
    for side, scaled in zip(size, resized, strict=True):
        first = round((scaled - preprocess.crop) / 2)
        at = range(first, first + preprocess.crop)
        centres.append([Fraction(2 * k + 1, 2) * side / scaled for k in at])
    return centres[::-1]


SIZES = [(500, 375), (375, 500), (333, 500), (1024, 683), (224, 224), (97, 64), (500, 158)]
NEAREST = Preprocess(interpolation="nearest", mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preprocess", [NEAREST, NEAREST.override("resize=224,crop=224")])
def test_a_mask_falls_where_the_loader_puts_the_same_image(tmp_path, size, preprocess):
    """Noise, so that a single row or column that is off by one shows.

    A centre on the border of two pixels is as near to the one as to the other. Here it belongs to
    the second; Pillow adds up steps in floats and takes either, so these do not count with it.
    """
    width, height = size
    noise = np.random.default_rng(width).integers(0, 2, (height, width)) * 255
    path = saved(tmp_path / "both.png", noise, "L")
    loaded = load_image(path, preprocess)
    truth = truth_on_input(row_of(loaded, mask=path, mask_value=None), preprocess)
    assert truth.object.shape == (224, 224)
    centres = exact_centres(size, preprocess)
    nearest = np.ix_(*[[floor(at) for at in side] for side in centres])
    assert np.array_equal(truth.object, noise[nearest] > 0)
    sure = np.ix_(*[[at.denominator != 1 for at in side] for side in centres])
    shown = loaded.pixels[0].numpy() > 0.5
    assert np.array_equal(truth.object[sure], shown[sure])
    assert shown[sure].size > 0.7 * shown.size
    assert not truth.ignore.any()


def test_a_rectangle_through_resize_and_crop_has_the_pixels_one_counts_by_hand(tmp_path):
    # 448 x 672, halved to 224 x 336, of which the middle 112 x 112 is cut out: the input shows
    # x 112 to 336 and y 224 to 448, and its pixel j is centred on 112 + 2 j + 1, or 224 + 2 j + 1
    path = saved(tmp_path / "mask.png", rectangle(448, 672, 200, 230, 300, 301), "L")
    preprocess = Preprocess(resize=224, crop=112)
    row = row_of(load_image(path, preprocess), mask=path)
    assert tuple(row["crop"].values()) == (112, 224, 336, 448)
    by_hand = np.zeros((112, 112), bool)
    by_hand[3:38, 44:94] = True  # rows 231 to 299 and columns 201 to 299
    assert np.array_equal(truth_on_input(row, preprocess).object, by_hand)
    boxes = row_of(load_image(path, preprocess), mask=None, bbox="200,230,300,300.5")
    assert np.array_equal(truth_on_input(boxes, preprocess).object, by_hand)


@pytest.mark.parametrize("size", SIZES)
def test_a_box_of_whole_pixels_is_the_mask_of_these_pixels(tmp_path, size):
    width, height = size
    generator = np.random.default_rng(height)
    for _ in range(5):
        x0, x1 = np.sort(generator.choice(width + 1, 2, replace=False)).tolist()
        y0, y1 = np.sort(generator.choice(height + 1, 2, replace=False)).tolist()
        path = saved(tmp_path / "mask.png", rectangle(width, height, x0, y0, x1, y1), "L")
        loaded = load_image(path, Preprocess())
        of_mask = truth_on_input(row_of(loaded, mask=path), Preprocess())
        of_box = truth_on_input(row_of(loaded, bbox=f"{x0},{y0},{x1},{y1}"), Preprocess())
        assert np.array_equal(of_mask.object, of_box.object)


def test_a_pixel_counts_when_its_centre_lies_in_a_box():
    row = {"crop": {"x0": 0, "y0": 0, "x1": 4, "y1": 4}, "width": 4, "height": 4}
    small = Preprocess(resize=4, crop=4)

    def drawn(bbox):
        return truth_on_input({**row, "bbox": bbox}, small).object.astype(int).tolist()

    nothing = [0, 0, 0, 0]
    assert drawn("0.5,0,1.5,1") == [[1, 0, 0, 0], nothing, nothing, nothing]  # x1 is outside
    assert drawn("0.6,0,1.4,1") == [nothing] * 4
    assert drawn("0,0,1,1;2,3,9,9;0,0,1,1") == [[1, 0, 0, 0], nothing, nothing, [0, 0, 1, 1]]


def test_values_and_void_of_a_class_mask_are_mapped_too(tmp_path):
    values = np.repeat(np.repeat([[0, 12, 15, 255]], 2, 1), 8, 0)  # 8 x 8
    path = saved(tmp_path / "mask.png", values, "P")
    preprocess = Preprocess(resize=4, crop=2)  # columns 1 and 2 of 4 stay
    for value in (12, 12.0, "12", np.int64(12)):
        row = row_of(load_image(path, preprocess), mask=path, mask_value=value, bbox="0,0,1,1")
        expect(truth_on_input(row, preprocess), [[1, 0], [1, 0]], [[0, 0], [0, 0]])
    whole = Preprocess(resize=4, crop=4)
    row = row_of(load_image(path, whole), mask=path, mask_value=15)
    expect(truth_on_input(row, whole), [[0, 0, 1, 0]] * 4, [[0, 0, 0, 1]] * 4)


def test_no_truth_and_truth_that_does_not_fit(tmp_path):
    path = saved(tmp_path / "mask.png", np.ones((6, 8)), "L")
    loaded = load_image(path, Preprocess())
    assert truth_on_input(row_of(loaded, mask=None, mask_value=None, bbox=""), Preprocess()) is None
    assert truth_on_input(row_of(loaded), Preprocess()) is None
    turned = row_of(loaded, mask=path) | {"width": 6, "height": 8}
    with pytest.raises(ImageError, match="has 8 x 6 pixels, the upright image 6 x 8"):
        truth_on_input(turned, Preprocess())
    for cell in ("dog", 1.5, float("nan")):
        with pytest.raises(ImageError, match="mask_value is .* expected a whole number"):
            truth_on_input(row_of(loaded, mask=path, mask_value=cell), Preprocess())
    with pytest.raises(ImageError, match="bbox '1,2,3' is not x0,y0,x1,y1"):
        truth_on_input(row_of(loaded, bbox="1,2,3"), Preprocess())
