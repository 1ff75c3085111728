"""Doors of packages: their public names, each imported from its module when it is first used.

So that a command needs only what it uses: torch alone takes seconds to import.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package that imports its names under `if TYPE_CHECKING:`.

    What type checkers read there is what happens here, later. No name may be that of a module of
    the package: importing the module would hide it.
    """
    homes = _homes(package)

    def getattr_(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)  # the next use finds it without us
        return value

    return getattr_, lambda: sorted({*vars(sys.modules[package]), *homes})


def _homes(package: str) -> dict[str, str]:
    """Public name -> its module."""
    spec = find_spec(package)
    source: str = spec.loader.get_source(package)  # type: ignore[union-attr]
    imports = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return {
        alias.name: node.module
        for node in imports
        if node.module is not None and node.module not in ("typing", "pipeline.doors")
        for alias in node.names
    }
