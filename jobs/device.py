"""Where a command of one process computes."""

from enum import Enum


class Device(Enum):
    cpu = "cpu"
    cuda = "cuda"
