"""For tests of memory: a device on paper, and how fast it is."""

import torch

FAST = {"model": "builtin:shapes", "manifest": "m.csv"}
RATES = {32: 50.0, 64: 90.0, 128: 98.1, 256: 100.0, 512: 99.0}


class Paper:
    """A device on paper: `fixed` bytes and `each` for an image, and a rate for each size."""

    def __init__(self, fixed, each, limit, rates=None, really=10**9, error=torch.OutOfMemoryError):
        self.fixed, self.each, self.limit, self.rates = fixed, each, limit, rates or {}
        self.really, self.error = really, error  # images that do not run out of memory
        self.asked = []

    def peak(self, images):
        self._take(images)
        return self.fixed + images * self.each

    def rate(self, images):
        self._take(images)
        self.asked.append(images)
        return self.rates[images]

    def _take(self, images):
        if images > self.really:
            raise self.error
