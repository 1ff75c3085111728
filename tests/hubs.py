"""For tests of timm and transformers: models made here, and an image to show them."""

import numpy as np
import torch
import transformers
from PIL import Image

NAMES = {0: "cat", 1: "dog", 2: "newt"}
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
    "id2label": NAMES,
    "label2id": {name: k for k, name in NAMES.items()},
}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "id2label": NAMES,
    "label2id": {name: k for k, name in NAMES.items()},
}
NORM = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
SHORTEST = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, **NORM}


def picture(file, width, height):
    """A generated image: smooth, with edges, different in each colour."""
    row, column = np.mgrid[:height, :width] / min(width, height)
    waves = [np.sin(9 * row + 4 * column), np.cos(7 * column), (row - 0.5) ** 2 > column - 0.4]
    rgb = np.stack([(wave + 1) / 2 for wave in waves], -1)
    Image.fromarray((rgb * 255).astype(np.uint8)).save(file)
    return str(file)


def save_hf(folder, processor, model=None):
    torch.manual_seed(1)
    model = model or transformers.ViTForImageClassification(transformers.ViTConfig(**VIT))
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def vit_processor(**changes):
    settings = {"size": {"height": 32, "width": 32}, **NORM, **changes}
    return transformers.ViTImageProcessor(**settings)
