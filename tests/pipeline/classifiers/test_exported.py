"""Programs of torch.export: of one batch size and of any, with the input that they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline import RequestError
from pipeline.classifiers.classifier import load_classifier


def net(channels: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()


def saved(folder: Path, module: nn.Module, shape: tuple[int, ...], **options: Any) -> str:
    program = torch.export.export(module, (torch.randn(shape),), **options)
    torch.export.save(program, folder / "m.pt2")
    return f"export:{folder}/m.pt2"


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("images", [1, 4, 5, 8])
def test_a_fixed_batch_takes_any_number_of_images(tmp_path: Path, batch: int, images: int) -> None:
    module = net(3)
    found = load_classifier(saved(tmp_path, module, (batch, 3, 40, 40)))
    image = torch.randn(images, 3, 40, 40, requires_grad=True)
    logits = found.classify(image)
    torch.testing.assert_close(logits, module(image))
    (ours,) = torch.autograd.grad(logits.square().sum(), image)
    (theirs,) = torch.autograd.grad(module(image).square().sum(), image)
    torch.testing.assert_close(ours, theirs)
    assert not any(parameter.requires_grad for parameter in found.module.parameters())


def test_size_and_channels_are_those_of_the_program(tmp_path: Path) -> None:
    fields = load_classifier(saved(tmp_path, net(1), (2, 1, 28, 56))).preprocess
    assert (fields.shape, fields.resize) == ((1, 28, 56), (32, 64))
    assert fields.mean == pytest.approx([0.449], abs=1e-6)
    square = load_classifier(saved(tmp_path, net(3), (2, 3, 224, 224))).preprocess
    assert (square.resize, square.crop) == (256, 224)
    dims = {0: torch.export.Dim("batch", max=64), 2: torch.export.Dim("height", min=8, max=512)}
    wide = saved(tmp_path, net(3), (2, 3, 48, 64), dynamic_shapes=(dims,))
    assert load_classifier(wide).preprocess.size == (64, 64)
    assert load_classifier(wide, preprocess="crop=48:64").preprocess.size == (48, 64)
    dims[3] = torch.export.Dim("width", min=8, max=512)
    any_size = saved(tmp_path, net(3), (2, 3, 48, 64), dynamic_shapes=(dims,))
    assert load_classifier(any_size).preprocess.size == (224, 224)


class Two(nn.Module):
    def forward(self, image: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (image * other).mean((2, 3))


def test_a_program_of_two_inputs_is_refused(tmp_path: Path) -> None:
    given = torch.randn(1, 3, 8, 8)
    torch.export.save(torch.export.export(Two(), (given, given)), tmp_path / "m.pt2")
    with pytest.raises(RequestError, match=r"takes inputs of \[\(1, 3, 8, 8\), \(1, 3, 8, 8\)\]"):
        load_classifier(f"export:{tmp_path}/m.pt2")


def test_it_says_which_inputs_it_takes_where_another_size_is_given(tmp_path: Path) -> None:
    spec = saved(tmp_path, net(3), (1, 3, 40, 40))
    with pytest.raises(RequestError, match="failed on an input of .1, 3, 32, 32."):
        load_classifier(spec, preprocess="crop=32")
