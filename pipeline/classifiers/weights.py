"""State dicts: reading them from files, fitting them to modules, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import fsspec
import torch
from torch import Tensor, nn

from pipeline.errors import RequestError


def weights_digest(module: nn.Module) -> str:
    """Hash of names, shapes, types and values of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name}|{tuple(value.shape)}|{value.dtype}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_weights(file: str) -> None:
    """RequestError where there is no such file; what else is wrong shows when it is read."""
    try:
        fs, path = fsspec.core.url_to_fs(file)
        there = fs.exists(path)
    except Exception:  # every store raises its own
        return
    if not there:
        raise RequestError(f"--weights {file}: no such file")


def read_state_dict(file: str, flag: str = "--weights") -> dict[str, Tensor]:
    """Read `.pth`/`.pt` (tensors only, no code) or `.safetensors` from a path or URL.

    flag  that names the file, for messages
    """
    try:
        with fsspec.open(file, "rb") as stream:
            if file.endswith(".safetensors"):
                tensors: dict[str, Tensor] = safetensors_library().load(stream.read())
                return tensors
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RequestError(f"{flag} {file}: no such file") from error
    except RequestError:
        raise
    except Exception as error:  # torch.load has no common error of its own
        raise RequestError(
            f"{flag} {file}: not a state dict ({type(error).__name__}); expected a file "
            "written by torch.save(model.state_dict(), FILE) or a .safetensors file"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise RequestError(f"{flag} {file}: holds no state dict (a mapping of names to tensors)")
    return {key.removeprefix("module."): value for key, value in state.items()}


def safetensors_library() -> Any:
    """The library's module for torch; RequestError names the extra that it comes with."""
    try:
        import safetensors.torch
    except ImportError as error:
        raise RequestError(
            'files in .safetensors need the package: pip install "xaipipe[safetensors]"'
        ) from error
    return safetensors.torch


def load_state(
    module: nn.Module, state: dict[str, Tensor], file: str, name: str, flag: str = "--weights"
) -> None:
    """Fit a state dict to a module; RequestError, naming the flag and file, where it does not."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or unexpected or wrong:
        first = [*missing, *unexpected, *wrong][0]
        raise RequestError(
            f"{flag} {file}: does not fit {name}: {len(missing)} weights missing, "
            f"{len(unexpected)} not in the model, {len(wrong)} of another shape (first: {first}); "
            "is it the state dict of another model?"
        )
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
