"""`builtin:shapes`: a small classifier in the package and images whose evidence is known."""

from pipeline.shapes.dataset import write_dataset
from pipeline.shapes.images import CLASSES, CUES, ShapesImage, generate
from pipeline.shapes.network import MEAN, SIZE, STD, ShapesNetwork, load_shapes

__all__ = [
    "CLASSES",
    "CUES",
    "MEAN",
    "SIZE",
    "STD",
    "ShapesImage",
    "ShapesNetwork",
    "generate",
    "load_shapes",
    "write_dataset",
]
