"""`builtin:shapes`: a small classifier in the package and images whose evidence is known."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

if TYPE_CHECKING:
    from pipeline.shapes.dataset import write_dataset
    from pipeline.shapes.images import CLASSES, CUES, ShapesImage, generate
    from pipeline.shapes.network import MEAN, SIZE, STD, ShapesNetwork, load_shapes
else:
    __getattr__, __dir__ = lazy(__name__)
