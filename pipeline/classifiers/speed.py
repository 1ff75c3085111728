"""How fast a classifier is: passes forward and back to the image."""

from __future__ import annotations

import time

import torch

from pipeline.classifiers.classifier import Classifier
from pipeline.classifiers.threads import one_thread

REPEATS = 3


def seconds_of_a_pass(classifier: Classifier, images: int = 1) -> float:
    """Best of a few calls with so many images, after one to warm up; divided by the images.

    On a CPU by one thread, as a worker has.
    """
    with one_thread():
        return _best(classifier, images) / images


def _best(classifier: Classifier, images: int) -> float:
    shape = (images, *classifier.preprocess.shape)
    image = torch.zeros(shape, device=classifier.device, requires_grad=True)
    times = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        torch.autograd.grad(classifier.classify(image).sum(), image)
        if classifier.device.type == "cuda":
            torch.cuda.synchronize(classifier.device)
        times.append(time.perf_counter() - started)
    return min(times[1:])
