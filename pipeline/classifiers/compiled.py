"""A classifier compiled by torch.compile for one shape of input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # of the largest logit, against plain ones

Run = Callable[[Tensor], Tensor]


class Compiled:
    """Runs compiled code for inputs like `like_MCHW`, and `run` itself for all others.

    Other numbers of images are rare (the last batch of a shard), and padding them or compiling
    once more would cost more than it gains. Nothing is compiled after the beginning, where forward
    and gradient, and forward alone, are compiled and tried.

    like_MCHW  the layout counts, too
    dtype      in which `run` computes; decides how near its logits have to be
    Raises whatever the compiler raises, and ArithmeticError if the compiled logits differ.
    """

    def __init__(self, run: Run, like_MCHW: Tensor, dtype: torch.dtype) -> None:
        self.fast: Run = torch.compile(run, dynamic=False, fullgraph=True)
        image = like_MCHW.detach().requires_grad_()
        torch.autograd.grad(self.fast(image).sum(), image)
        with torch.no_grad():
            image = image.detach()
            found, wanted = self.fast(image), run(image)
            error = ((found - wanted).abs().max() / wanted.abs().max()).item()
        if not error <= TOLERANCE[dtype]:
            raise ArithmeticError(f"compiled logits differ by {error:.2g} of the largest")

    def __call__(self, image_MCHW: Tensor) -> Tensor:
        """What `run` returns."""
        with torch.compiler.set_stance("eager_on_recompile"):
            return self.fast(image_MCHW)
