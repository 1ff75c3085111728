"""A small classifier of several labels an image: 20 of them, like VOC's, by what an image's parts
look like; `python:tests.multi_label:build`."""

import torch

from pipeline.images import Preprocess

SIDE = 32
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
COLOURS = {"cat": (1.0, 0.0, 0.0), "dog": (0.0, 1.0, 0.0), "person": (0.0, 0.0, 1.0)}


class Colours(torch.nn.Module):
    """A class is there where some part of the image, 8 x 8 pixels, has its colour."""

    preprocess = Preprocess(resize=SIDE, crop=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
    classes = CLASSES

    def __init__(self):
        super().__init__()
        weight = torch.zeros(len(CLASSES), 3, 8, 8)
        bias = torch.full((len(CLASSES),), -6.0)
        for name, colour in COLOURS.items():
            sign = 2 * torch.tensor(colour) - 1
            weight[CLASSES.index(name)] = 12 * sign[:, None, None] / 64
        self.parts = torch.nn.Conv2d(3, len(CLASSES), 8, stride=4)
        self.parts.weight.data, self.parts.bias.data = weight, bias

    def forward(self, image):
        return self.parts(image).amax((2, 3))


def build():
    return Colours()


def write_images(folder, *contents):
    """PNGs with a patch for each of the classes in it, in different corners; returns a manifest."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    corners = ((2, 2), (18, 18), (2, 18))
    rows = ["id,image"]
    for n, names in enumerate(contents):
        picture = Image.new("RGB", (SIDE, SIDE), (120, 120, 120))
        for name, corner in zip(names, corners, strict=False):
            colour = tuple(int(255 * part) for part in COLOURS[name])
            picture.paste(Image.new("RGB", (12, 12), colour), corner)
        picture.save(folder / f"{n}.png")
        rows.append(f"image-{n},{n}.png")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"
