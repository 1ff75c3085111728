"""The machine: versions, the compiler, and whether it compiles."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from pipeline.benchmark.gpu_check.sections import Findings, Place
from pipeline.run import c_compiler

PACKAGES = ("torch", "torchvision", "triton", "numpy", "pillow", "pyarrow", "pydantic", "ray")


def machine(place: Place, found: Findings) -> None:
    """Versions, and a small function compiled for the device."""
    found.figures |= {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "compiler": c_compiler(),
        **{name: _version(name) for name in PACKAGES},
    }
    found.expect("a C compiler is installed", c_compiler() is not None)
    if place.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found.figures |= {
            "gpu": properties.name,
            "memory": properties.total_memory,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "capability": torch.cuda.get_device_capability(0),
        }
    numbers = torch.arange(1000.0, device=place.device)
    compiled = torch.compile(lambda x: (x * 2 + 1).sin().sum(), fullgraph=True)
    error = (compiled(numbers) - (numbers * 2 + 1).sin().sum()).abs().item()
    found.expect(f"compiled code computes as it should, error {error:.2g}", error < 1e-2)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
