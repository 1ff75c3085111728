"""A learned start as a state dict in a file."""

from __future__ import annotations

import io

import torch

from inr_core import LearnedStart
from pipeline.classifiers import load_state, read_state_dict, safetensors_library, weights_digest
from pipeline.errors import RequestError

FLAG = "--start"


def read_start(file: str) -> LearnedStart:
    """The network in a file (.pth or .safetensors, a path or URL), on the CPU; RequestError if it
    holds no such thing."""
    learned = LearnedStart()
    load_state(learned, read_state_dict(file, FLAG), file, "a learned start", FLAG)
    return learned.eval().requires_grad_(False)


def start_digest(learned: LearnedStart) -> str:
    """Hash of its weights."""
    return weights_digest(learned)


def save_start(learned: LearnedStart, file: str) -> None:
    """Write it, as safetensors where the name ends so."""
    state = {name: value.cpu().contiguous() for name, value in learned.state_dict().items()}
    if file.endswith(".safetensors"):
        data = safetensors_library().save(state)
    else:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
    with open(file, "wb") as stream:
        stream.write(data)


def check_start(file: str) -> None:
    """RequestError for a name that cannot be written here, before any work is lost."""
    if not file.endswith((".safetensors", ".pth", ".pt")):
        raise RequestError(f"--to {file}: expected a name that ends with .safetensors or .pth")
    if file.endswith(".safetensors"):
        safetensors_library()
