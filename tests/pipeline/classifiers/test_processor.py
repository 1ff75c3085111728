"""Image processors of transformers: called as they are; where they show what is found out."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from pipeline import ImageError, RequestError
from pipeline.classifiers.classifier import load_classifier
from pipeline.classifiers.processor import preprocess_of
from pipeline.images.loading import load_image, prepared
from tests.hubs import NORM, RESNET, SHORTEST, picture, save_hf, vit_processor

LONGEST = {"size": {"max_height": 32, "max_width": 32}, "crop_size": {"height": 32, "width": 32}}
PAD = {"do_pad": True, "pad_size": {"height": 32, "width": 48}}
BOTTOM = {"size": {"max_height": 32, "max_width": 48}, "do_center_crop": False, **PAD}
PROCESSORS = {  # and what is seen of an image 300 wide, 200 high
    "squash": (vit_processor(), (0, 0, 300, 200)),
    "bicubic": (vit_processor(size=32, resample=3), (0, 0, 300, 200)),
    "nearest": (vit_processor(size=32, resample=0), (0, 0, 300, 200)),
    "lanczos": (vit_processor(resample=1), (0, 0, 300, 200)),
    "not square": (vit_processor(size={"height": 32, "width": 64}), (0, 0, 300, 200)),
    "not normalised": (vit_processor(do_normalize=False), (0, 0, 300, 200)),
    "not rescaled": (vit_processor(do_rescale=False), (0, 0, 300, 200)),
    "neither": (vit_processor(do_rescale=False, do_normalize=False), (0, 0, 300, 200)),
    "Bit": (transformers.BitImageProcessor(**SHORTEST), (70, 20, 230, 180)),
    "CLIP": (transformers.CLIPImageProcessor(**SHORTEST), (70, 20, 230, 180)),
    "DeiT": (
        transformers.DeiTImageProcessor(size=40, crop_size=32, do_center_crop=True, **NORM),
        (30, 20, 270, 180),
    ),
    "ConvNext": (
        transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8, **NORM),
        (70, 20, 230, 180),
    ),
    "ConvNext, warped": (
        transformers.ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.8, **NORM),
        (0, 0, 300, 200),
    ),
    "LeViT": (
        transformers.LevitImageProcessor(size={"shortest_edge": 28}, crop_size=28, **NORM),
        (62.5, 12.5, 237.5, 187.5),
    ),
    "blue first": (
        transformers.MobileViTImageProcessor(size={"shortest_edge": 40}, crop_size=32),
        (70, 20, 230, 180),
    ),
    "padded around": (transformers.CLIPImageProcessor(**LONGEST, **NORM), (0, -47.6, 300, 257.1)),
    "padded below": (transformers.BitImageProcessor(**BOTTOM, **NORM), (0, 0, 300, 200)),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", [(301, 222), (97, 240), (33, 20)], ids=str)
def test_pixels_are_those_of_the_processor(name, size, tmp_path):
    processor = PROCESSORS[name][0]
    fields = preprocess_of("hf:here", processor)
    file = picture(tmp_path / "image.png", *size)
    wanted = processor(Image.open(file), return_tensors="pt")["pixel_values"][0].float()
    seen = load_image(file, fields)
    scale = max(1.0, wanted.abs().max().item())
    assert (seen.pixels - wanted).abs().max() <= 2e-6 * scale
    assert tuple(seen.pixels.shape) == fields.shape
    assert seen.rgb.min() >= -0.01 and seen.rgb.max() <= 255.01
    if processor.do_normalize and processor.do_rescale:
        assert fields.mean == pytest.approx(processor.image_mean)
        assert fields.std == pytest.approx(processor.image_std)


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_box_is_what_is_seen(name):
    processor, box = PROCESSORS[name]
    seen = prepared(Image.new("RGB", (300, 200)), preprocess_of("hf:here", processor)).crop
    # a processor cuts between pixels of what it has resized
    assert seen == pytest.approx(box, abs=200 / 32 if box[:2] != (0, 0) else 0.5)


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", [(640, 427), (300, 451), (4000, 2250)], ids=str)
def test_a_known_region_lies_where_the_box_says(name, size):
    """A bright spot in the input, mapped by the box, is where it was put in the original."""
    processor, (width, height) = PROCESSORS[name][0], size
    fields = preprocess_of("hf:here", processor)
    for x, y in ((0.5, 0.5), (0.4, 0.6), (0.58, 0.37)):
        marked = np.zeros((height, width, 3), np.uint8)
        half = min(size) // 16
        row, column = int(y * height), int(x * width)
        marked[row - half : row + half, column - half : column + half] = 255
        seen = prepared(Image.fromarray(marked), fields)
        bright = (seen.rgb[0].double() - 20).clamp_min(0)
        if fields.mean[0] > 0.1 and "padded" in name:  # black padding is brighter than the fill
            bright = (bright > 128).double()
        x0, y0, x1, y1 = seen.crop
        rows, columns = bright.shape
        at_x = (bright.sum(0) * (torch.arange(columns) + 0.5)).sum() / bright.sum() / columns
        at_y = (bright.sum(1) * (torch.arange(rows) + 0.5)).sum() / bright.sum() / rows
        pixel = max((x1 - x0) / columns, (y1 - y0) / rows)
        assert x0 + at_x * (x1 - x0) == pytest.approx(column, abs=0.35 * pixel)
        assert y0 + at_y * (y1 - y0) == pytest.approx(row, abs=0.35 * pixel)


@pytest.mark.parametrize("size", [(500, 375), (641, 1023), (4000, 2250)], ids=str)
@pytest.mark.parametrize("side", [224, 384])
def test_where_it_shows_is_known_to_a_fraction_of_a_pixel(side, size):
    processor = vit_processor(size={"height": side, "width": side})
    box = preprocess_of("hf:here", processor).box(*size)
    assert box == pytest.approx((0, 0, *size), abs=0.1)


@pytest.mark.parametrize("name", PROCESSORS)
def test_tiny_images_are_seen_or_fail_alone(name):
    fields = preprocess_of("hf:here", PROCESSORS[name][0])
    assert prepared(Image.new("RGB", (5, 3)), fields).crop[0] < 5
    if "padded" not in name:
        assert prepared(Image.new("RGB", (1, 1)), fields).crop == pytest.approx((0, 0, 1, 1), abs=1)
        return
    with pytest.raises(ImageError, match="Processor fails: "):
        prepared(Image.new("RGB", (3, 300)), fields)


def test_it_travels_and_says_what_it_does():
    fields = preprocess_of("hf:here", vit_processor())
    there = pickle.loads(pickle.dumps(fields))
    assert there == fields and there.look == fields.look
    other = preprocess_of("hf:here", vit_processor(resample=0))
    assert other.look != fields.look and other.facts() != fields.facts()
    assert "32 x 32 by ViTImageProcessor" in fields.in_words()
    assert "columns 0 to 160 and rows 0 to 120" in fields.in_words()
    assert fields.facts()["processor"]["size"] == {"height": 32, "width": 32}
    assert fields.facts()["crop"] == 32


def test_fields_that_are_given_take_its_place():
    fields = preprocess_of("hf:here", vit_processor())
    same = fields.override("resize=32,crop=32")
    assert same == fields
    scaled = fields.override("mean=0.5:0.5:0.5")
    image = Image.new("RGB", (50, 40), (128, 128, 128))
    assert scaled.processor is fields.processor
    assert prepared(image, scaled).pixels.abs().max() < 0.02
    own = fields.override("fit=crop,resize=40")
    assert own.facts() == {
        "resize": 40,
        "crop": 32,
        "mean": fields.mean,
        "std": fields.std,
        "interpolation": "bilinear",
    }
    with pytest.raises(RequestError, match="nearest is resize"):
        fields.override("resise=3")


def test_the_order_of_channels_is_seen():
    blue_first = transformers.MobileViTImageProcessor(size={"shortest_edge": 40}, crop_size=32)
    fields = preprocess_of("hf:here", blue_first)
    assert (fields.channels, fields.order) == ("bgr", (2, 1, 0))
    assert fields.mean == (0, 0, 0) and fields.std == pytest.approx((1, 1, 1))
    red = prepared(Image.new("RGB", (60, 40), (200, 100, 0)), fields).rgb.mean((1, 2))
    assert red.tolist() == pytest.approx([0, 100, 200], abs=1e-3)
    assert fields.override("fit=crop,resize=40").scale == (fields.mean[::-1], fields.std[::-1])
    assert preprocess_of("hf:here", vit_processor()).order == (0, 1, 2)


def test_grey_images_for_a_model_with_one_channel(tmp_path):
    processor = vit_processor(image_mean=[0.5], image_std=[0.25])
    torch.manual_seed(0)
    config = transformers.ResNetConfig(**RESNET, num_channels=1)
    save_hf(tmp_path / "m", processor, transformers.ResNetForImageClassification(config))
    found = load_classifier(f"hf:{tmp_path}/m")
    assert found.preprocess.shape == (1, 32, 32)
    file = picture(tmp_path / "image.png", 90, 60)
    wanted = processor(Image.open(file).convert("L"), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(load_image(file, found.preprocess).pixels, wanted)


class Turned(transformers.ViTImageProcessor):
    def __call__(self, images, **given):
        return super().__call__(images.rotate(30), **given)


class Mirrored(transformers.ViTImageProcessor):
    def __call__(self, images, **given):
        return super().__call__(images.transpose(Image.Transpose.FLIP_LEFT_RIGHT), **given)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (Turned(size={"height": 32, "width": 32}), "no rectangle|does not lie as in the image"),
        (Mirrored(size={"height": 32, "width": 32}), "does not lie as in the image"),
        (
            transformers.CLIPImageProcessor(**SHORTEST, do_center_crop=False),
            "makes .3, 83, 40. of it .channels, height, width., expected .3, 40, 53.",
        ),
        (vit_processor(do_normalize=True, image_std=[-1, -1, -1]), "white no brighter than black"),
    ],
    ids=["turned", "mirrored", "not cropped", "inverted"],
)
def test_image_processors_that_cannot_be_followed(processor, message):
    with pytest.raises(RequestError, match=message):
        preprocess_of("hf:here", processor)


def test_of_a_wide_image_all_is_seen_where_the_processor_squashes(tmp_path):
    save_hf(tmp_path / "m", vit_processor())
    found = load_classifier(f"hf:{tmp_path}/m").preprocess
    seen = load_image(picture(tmp_path / "wide.png", 128, 64), found)
    assert seen.crop == pytest.approx((0, 0, 128, 64), abs=0.3)
