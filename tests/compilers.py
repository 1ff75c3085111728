"""For tests of compiled classifiers: a compiler that compiles nothing, images, and gradients."""

import shutil

import pytest
import torch

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def image_of(count):
    torch.manual_seed(1)
    return torch.randn(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)


def gradient(classify, image, of=1):
    image = (2 * image.requires_grad_()) / 2  # no leaf, as in the loop
    logits = classify(image)
    return logits, torch.autograd.grad(logits[:, of].sum(), image)[0]


def without_compiler(monkeypatch, works=lambda images: True):
    """A compiler that hands back what it is given, or raises what `works` returns."""

    def compiled(run, **_):
        def call(image):
            error = works(len(image))
            if isinstance(error, Exception):
                raise error
            return run.__self__.run(image)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
