"""Loading: pixels equal torchvision's, and the crop lies where it is said to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pipeline.errors import ImageError
from pipeline.images import LoadedImage, Preprocess, load_image
from tests.pictures import picture, saved


def reference(image: Image.Image, preprocess: Preprocess) -> torch.Tensor:
    """The same by torchvision's transforms, as its models' documentation has it."""
    return transforms.Compose(
        [
            transforms.Resize(
                preprocess.resize, interpolation=InterpolationMode(preprocess.interpolation)
            ),
            transforms.CenterCrop(preprocess.crop),
            transforms.ToTensor(),
            transforms.Normalize(preprocess.mean, preprocess.std),
        ]
    )(image)


PREPROCESS = [
    Preprocess(),
    Preprocess(resize=232, crop=224, interpolation="bicubic"),
    Preprocess(resize=65, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0)),
    Preprocess(resize=70, crop=33, interpolation="nearest"),
]


@pytest.mark.parametrize("preprocess", PREPROCESS, ids=lambda p: f"{p.resize}-{p.interpolation}")
@pytest.mark.parametrize(
    "size",
    [(500, 375), (333, 501), (256, 256), (227, 227), (257, 256), (31, 97), (1, 1), (600, 7)],
    ids=str,
)
def test_loading_equals_torchvision(
    tmp_path: Path, size: tuple[int, int], preprocess: Preprocess
) -> None:
    image = picture(*size)
    loaded = load_image(saved(tmp_path / "a.png", image), preprocess)
    assert loaded.pixels.shape == (3, preprocess.crop, preprocess.crop)
    assert loaded.pixels.dtype == torch.float32
    assert loaded.pixels.is_contiguous()
    assert torch.equal(loaded.pixels, reference(image, preprocess))
    assert (loaded.width, loaded.height) == size


def shown(loaded: LoadedImage) -> tuple[float, float]:
    """x, y in [0, 1] of the centre of the bright spot within the crop."""
    bright = (loaded.pixels[0] - loaded.pixels[0].min()).double()
    grid = (torch.arange(bright.shape[0]).double() + 0.5) / bright.shape[0]
    weight = bright / bright.sum()
    return float((weight.sum(0) * grid).sum()), float((weight.sum(1) * grid).sum())


@pytest.mark.parametrize("size", [(400, 300), (300, 500), (120, 90)], ids=str)
@pytest.mark.parametrize("preprocess", [Preprocess(), Preprocess(resize=64, crop=64)], ids=str)
def test_crop_box_maps_the_crop_to_the_original(
    tmp_path: Path, size: tuple[int, int], preprocess: Preprocess
) -> None:
    width, height = size
    for marked_x, marked_y in ((width // 2, height // 2), (width // 3, int(height * 0.6))):
        marked = np.zeros((height, width), dtype=np.uint8)
        marked[marked_y - 3 : marked_y + 3, marked_x - 3 : marked_x + 3] = 255
        loaded = load_image(saved(tmp_path / "a.png", Image.fromarray(marked)), preprocess)
        x0, y0, x1, y1 = loaded.crop
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        x, y = shown(loaded)
        pixel = max(1.0, min(size) / preprocess.resize)
        assert x0 + x * (x1 - x0) == pytest.approx(marked_x, abs=0.3 * pixel)
        assert y0 + y * (y1 - y0) == pytest.approx(marked_y, abs=0.3 * pixel)


def test_crop_box_of_known_sizes(tmp_path: Path) -> None:
    wide = saved(tmp_path / "a.png", Image.new("L", (512, 256)))
    assert load_image(wide, Preprocess()).crop == (144, 16, 368, 240)
    square = saved(tmp_path / "b.png", Image.new("L", (448, 448)))
    assert load_image(square, Preprocess(resize=224)).crop == (0, 0, 448, 448)


def test_thin_strip_does_not_fill_the_memory(tmp_path: Path) -> None:
    for size in ((10_000, 1), (1, 10_000)):
        uri = saved(tmp_path / "a.png", Image.new("L", size))
        with pytest.raises(ImageError, match="too thin a strip") as caught:
            load_image(uri, Preprocess())
        assert caught.value.stage == "decode"
