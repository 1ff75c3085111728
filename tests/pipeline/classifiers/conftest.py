"""For tests of classifiers: a small one, and one that cannot be compiled."""

import pytest
import torch

TINY = """
import torch
from pipeline.images import Preprocess
from pipeline.shapes import CLASSES

class Tiny(torch.nn.Module):
    preprocess, classes = Preprocess(resize=32, crop=32), CLASSES
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(3, 4, 5, 4), torch.nn.Linear(4, 10)
    def forward(self, image):
        return self.head(self.conv(image).relu().mean((2, 3)))

class Branching(Tiny):
    def forward(self, image):
        return super().forward(image) if image.mean() > 0 else super().forward(-image)
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A module with these two, which workers may import, too."""
    (tmp_path / "tiny_model.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import tiny_model

    yield tiny_model
    torch._dynamo.reset()
