"""Image processors of transformers: followed as they are, or refused."""

import pytest
import torch
import transformers
from PIL import Image

from pipeline import RequestError
from pipeline.classifiers.classifier import load_classifier
from pipeline.images.loading import load_image
from tests.hubs import NORM, RESNET, SHORTEST, picture, save_hf, vit_processor


@pytest.mark.parametrize(
    ("processor", "size", "expected"),
    [
        (vit_processor(), (120, 120), (32, 32, "bilinear")),
        (vit_processor(size=32, resample=3), (120, 120), (32, 32, "bicubic")),
        (vit_processor(size=32, resample=0), (128, 128), (32, 32, "nearest")),
        (vit_processor(do_normalize=False), (77, 77), (32, 32, "bilinear")),
        (transformers.BitImageProcessor(**SHORTEST), (200, 110), (40, 32, "bicubic")),
        (transformers.CLIPImageProcessor(**SHORTEST), (110, 200), (40, 32, "bicubic")),
        (
            transformers.DeiTImageProcessor(size=40, crop_size=32, do_center_crop=True, **NORM),
            (120, 120),
            (40, 32, "bicubic"),
        ),
        (
            transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8, **NORM),
            (200, 110),
            (40, 32, "bicubic"),
        ),
        (
            transformers.ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.8, **NORM),
            (200, 200),
            (384, 384, "bicubic"),
        ),
        (
            transformers.LevitImageProcessor(size={"shortest_edge": 28}, crop_size=28, **NORM),
            (110, 200),
            (32, 28, "bicubic"),
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "save_pretrained") else None,
)
def test_hf_preprocessing_is_that_of_its_image_processor(processor, size, expected, tmp_path):
    config = transformers.ResNetConfig(**RESNET)
    save_hf(tmp_path / "m", processor, transformers.ResNetForImageClassification(config))
    found = load_classifier(f"hf:{tmp_path}/m").preprocess
    file = picture(tmp_path / "image.png", *size)
    wanted = processor(Image.open(file), return_tensors="pt")["pixel_values"][0]
    levels = (load_image(file, found).pixels - wanted) * torch.tensor(found.std)[:, None, None]
    assert (found.resize, found.crop, found.interpolation) == expected
    assert levels.abs().max() * 255 <= 2


def test_of_an_image_that_hf_would_squash_the_central_square_is_seen(tmp_path):
    save_hf(tmp_path / "m", vit_processor())
    found = load_classifier(f"hf:{tmp_path}/m").preprocess
    wide = Image.open(picture(tmp_path / "wide.png", 128, 64))
    wide.crop((32, 0, 96, 64)).save(tmp_path / "square.png")
    square = vit_processor()(Image.open(tmp_path / "square.png"), return_tensors="pt")
    seen = load_image(str(tmp_path / "wide.png"), found)
    assert seen.crop == (32, 0, 96, 64)
    inside = (seen.pixels - square["pixel_values"][0])[:, :, 2:-2]  # the edge has other neighbours
    assert inside.abs().max() <= 2 / 255 / 0.2


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (vit_processor(do_rescale=False), "ViTImageProcessor does more than resize"),
        (
            transformers.MobileViTImageProcessor(
                size={"shortest_edge": 40}, crop_size=32, do_flip_channel_order=True
            ),
            "does more than resize",
        ),
        (
            transformers.CLIPImageProcessor(**SHORTEST, do_center_crop=False),
            "does not make every image a square",
        ),
        (vit_processor(size={"height": 32, "width": 64}), "does not make every image a square"),
        (vit_processor(resample=Image.Resampling.LANCZOS), "interpolation=lanczos; expected"),
    ],
    ids=["not rescaled", "blue first", "not cropped", "not square", "lanczos"],
)
def test_image_processors_that_cannot_be_followed(processor, message, tmp_path):
    save_hf(tmp_path, processor)
    with pytest.raises(RequestError, match=message):
        load_classifier(f"hf:{tmp_path}")
