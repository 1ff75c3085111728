"""The code of `python:MODULE:FACTORY`: which files of this machine it consists of."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import RequestError

INSTALLED = tuple({Path(p).resolve() for p in sysconfig.get_paths().values()})


@contextmanager
def _current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported meanwhile, as they can be by the job there."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def is_there(name: str) -> bool:
    """Whether this machine has the module of MODULE:FACTORY."""
    try:
        with _current_folder():
            return find_spec(name.partition(":")[0]) is not None
    except (ImportError, ValueError):
        return False


def code_of(name: str) -> tuple[Path, list[Path]]:
    """Folder, and the files and packages in it that MODULE:FACTORY is made of; none if installed.

    These are the module and whatever it has imported from the same folder. A package is meant as
    a whole. RequestError where the module cannot be imported.
    """
    module = name.partition(":")[0]
    try:
        with _current_folder():
            import_module(module)
    except Exception as error:  # whatever the user's code raises
        raise RequestError(f"--model python:{name}: {type(error).__name__}: {error}") from error
    own = _home(module.partition(".")[0])
    if own is None or own.is_relative_to(_ours()) or any(map(own.is_relative_to, INSTALLED)):
        return Path(), []
    folder = own.parent
    homes = {_home(one) for one in list(sys.modules) if "." not in one}
    return folder, sorted(home for home in homes if home is not None and home.parent == folder)


def _home(module: str) -> Path | None:
    """The file of a top-level module, or the folder of a package."""
    found = sys.modules.get(module)
    paths = list(getattr(found, "__path__", []))
    file = paths[0] if paths else getattr(found, "__file__", None)
    return None if file is None else Path(file).resolve()


def _ours() -> Path:
    """Where xaipipe itself lies, which the cluster has."""
    return Path(__file__).resolve().parents[3]
