"""A classifier compiled by torch.compile for a few sizes, to which all calls are brought."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from inr_core import is_out_of_memory
from pipeline.errors import describe

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}  # of the largest logit, against plain ones
VARIANTS = 64  # of code that one process may hold compiled: classifiers times sizes times two

Run = Callable[[Tensor], Tensor]
Sizes = Callable[[], Sequence[int]]


class Compiled:
    """Runs compiled code of a few sizes: fewer images are padded to one, more are cut into parts.

    The largest size is compiled at once, another when a call with gradient has just that many
    images. For each, forward and gradient, and forward alone, are compiled and tried on noise.
    What still runs plainly is counted.

    sizes  gives the images of most calls, ascending; when they fall (memory has run out), code for
           more images is no longer used
    like   (1, C, H, W), an image like those to come
    dtype  in which `run` computes; decides how near its logits have to be
    eager  calls that did not run compiled code, and `notes`, why
    Raises whatever the compiler raises, and ArithmeticError if the compiled logits differ.
    """

    def __init__(self, run: Run, sizes: Sizes, like_1CHW: Tensor, dtype: torch.dtype) -> None:
        self.run, self.sizes, self.like_1CHW, self.dtype = run, sizes, like_1CHW, dtype
        self.ready: set[int] = set()
        self.failed: set[int] = set()
        self.notes: list[str] = []
        self.eager = 0
        self.fast: Run = torch.compile(self._plain, dynamic=False, fullgraph=True)
        self.prepare(max(sizes()))

    def __call__(self, image_MCHW: Tensor) -> Tensor:
        """What `run` returns."""
        gradient = torch.is_grad_enabled() and image_MCHW.requires_grad
        size = self._size_for(len(image_MCHW), gradient)
        if size is None:
            return self._plain(image_MCHW)
        with torch.set_grad_enabled(gradient):  # two ways to be called, whatever the caller's
            if len(image_MCHW) <= size:
                return self._padded(image_MCHW, size)
            return torch.cat([self._padded(part, size) for part in torch.split(image_MCHW, size)])

    def count_eager(self, images: int, why: str) -> None:
        """A call of so many images has run plainly."""
        self.eager += 1
        if self.eager == 1:
            self.notes.append(
                f"calls of the classifier run without torch.compile, first one of {images} images:"
                f" {why}"
            )

    def prepare(self, size: int) -> None:
        """Have code for this many images, tried on noise; raises as the class does."""
        if size in self.ready:
            return
        random = torch.Generator().manual_seed(0)
        noise = torch.randn(size, *self.like_1CHW.shape[1:], generator=random)
        image = noise.to(self.like_1CHW).contiguous(memory_format=torch.channels_last)
        # torch's own limit is eight, for all classifiers of a process together
        with torch._dynamo.config.patch(recompile_limit=VARIANTS):
            with torch.enable_grad():
                image.requires_grad_()
                torch.autograd.grad(self.fast(image).sum(), image)
            with torch.no_grad():
                image = image.detach()
                found, wanted = self.fast(image), self.run(image)
        error = ((found - wanted).abs().max() / wanted.abs().max()).item()
        if not error <= TOLERANCE[self.dtype]:
            raise ArithmeticError(f"compiled logits differ by {error:.2g} of the largest")
        self.ready.add(size)

    def _size_for(self, images: int, gradient: bool) -> int | None:
        """The size to which a call is brought, compiled now if need be; None if there is none."""
        sizes = self.sizes()
        if gradient and images in sizes:
            self._try(images)
        most = max(sizes)
        if not any(size <= most for size in self.ready):
            self._try(most)
        usable = [size for size in self.ready if size <= most]
        fitting = [size for size in usable if size >= images]
        return min(fitting) if fitting else max(usable, default=None)

    def _try(self, size: int) -> None:
        """Compile for a size; where that fails, a note says why."""
        if size in self.ready or size in self.failed:
            return
        try:
            self.prepare(size)
        except Exception as error:  # compilers have no common error
            if is_out_of_memory(error):
                raise
            self.failed.add(size)
            self.notes.append(
                f"the classifier is not compiled for {size} images: {reason_of(error)}"
            )

    def _padded(self, image_MCHW: Tensor, size: int) -> Tensor:
        images = len(image_MCHW)
        if images < size:
            image_MCHW = functional.pad(image_MCHW, (0, 0) * 3 + (0, size - images))
        image_MCHW = image_MCHW.contiguous(memory_format=torch.channels_last)
        with torch.compiler.set_stance("eager_on_recompile"):
            return self.fast(image_MCHW)[:images]

    def _plain(self, image_MCHW: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.count_eager(len(image_MCHW), "no compiled code takes them")
        return self.run(image_MCHW)


def reason_of(error: Exception) -> str:
    """Kind and first line of what a compiler has raised, without its wrapping."""
    return describe(getattr(error, "inner_exception", error))
