"""The table of `tests/rooms.py` against the source, and what doors give."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import pipeline
from tests.rooms import GROUND, LIBRARIES, MAY

ROOT = Path(__file__).parent.parent


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is imported, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def place_of(name: str) -> str:
    """The room (or free-standing module) that a dotted name belongs to."""
    places = [p for p in (*MAY, *GROUND) if name == p or name.startswith(f"{p}.")]
    return max(places, key=len, default="")


def problem(here: str, name: str, root: Path) -> str | None:
    """What is wrong with an import of `name` by a module of the place `here`; None: nothing."""
    top = name.split(".")[0]
    if top in LIBRARIES:
        return None if here in LIBRARIES[top] else f"must not import {top}"
    there = place_of(name)
    if there in ("", here):
        return None
    if there in GROUND:  # the core's are its own
        inside = here.startswith("inr_core") or there.startswith("pipeline")
        return None if inside else f"must not import {there}"
    if there not in MAY.get(here, ()):
        return f"must not import {there}"
    module = name.rpartition(".")[0]
    behind = (
        module != there and name != there and (root / f"{module.replace('.', '/')}.py").exists()
    )
    return f"must import from the door of {there}, not {module}" if behind else None


def broken_imports(root: Path) -> list[str]:
    broken = []
    for package in ("inr_core", "pipeline", "jobs"):
        for path in sorted((root / package).rglob("*.py")):
            where = path.relative_to(root)
            here = place_of(".".join(where.with_suffix("").parts))
            for line, name in imported(path.read_text()):
                if found := problem(here, name, root):
                    broken.append(f"{where.as_posix()}:{line} {found}")
    return broken


def test_imports_respect_the_rooms() -> None:
    assert broken_imports(ROOT) == []


def test_rooms_stand_in_one_order() -> None:
    order = list(MAY)
    for room, others in MAY.items():
        assert all(order.index(other) < order.index(room) for other in others), room
    folders = {p.parent.relative_to(ROOT).as_posix() for p in ROOT.glob("[ijp]*/**/__init__.py")}
    named = {room.replace(".", "/") for room in MAY}
    assert folders == named


def test_no_folder_is_a_corridor() -> None:
    counts = {
        folder: len(list(folder.glob("*.py")))
        for package in ("inr_core", "pipeline")
        for folder in [ROOT / package, *(ROOT / package).rglob("*/")]
    }
    assert max(counts.values()) <= 20, counts


@pytest.mark.parametrize(
    "name, source, found",
    [
        ("inr_core/a.py", "def f():\n    import ray\n", "inr_core/a.py:2 must not import ray"),
        (
            "inr_core/game/b.py",
            "from inr_core.masks import siren",
            "must not import inr_core.masks",
        ),
        ("pipeline/store/c.py", "import torch", "must not import torch"),
        ("pipeline/store/d.py", "from jobs import cli", "must not import jobs"),
        (
            "pipeline/run/e.py",
            "from pipeline.store.lock import RunLock",
            "must import from the door of pipeline.store, not pipeline.store.lock",
        ),
        (
            "pipeline/run/f.py",
            "from inr_core.masks.siren import siren",
            "must not import inr_core.masks",
        ),
        (
            "jobs/g.py",
            "import json\nfrom inr_core.metrics.shape import perimeter",
            "jobs/g.py:2 must import from the door of inr_core.metrics, not inr_core.metrics.shape",
        ),
    ],
)
def test_the_check_sees_a_violation(tmp_path: Path, name: str, source: str, found: str) -> None:
    for module in ("pipeline/store/lock.py", "inr_core/metrics/shape.py", name):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).write_text("")
    (tmp_path / name).write_text(source)
    (broken,) = broken_imports(tmp_path)
    assert broken.startswith(name) and broken.endswith(found)


def lazy_doors() -> list[str]:
    """Packages whose names are imported when they are used."""
    found = [p for p in (ROOT / "pipeline").rglob("__init__.py") if "lazy(" in p.read_text()]
    return sorted(".".join(p.parent.relative_to(ROOT).parts) for p in found)


@pytest.mark.parametrize("package", lazy_doors())
def test_a_door_gives_what_it_names(package: str) -> None:
    folder = ROOT / package.replace(".", "/")
    tree = ast.parse((folder / "__init__.py").read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [a.name for n in froms if n.module != "pipeline.doors" for a in n.names]
    modules = {path.stem for path in folder.glob("*.py")}
    door = import_module(package)
    for name in set(names) - {"TYPE_CHECKING"}:
        assert name not in modules, f"importing the module would hide {package}.{name}"
        assert name in dir(door) and getattr(door, name) is not None
    assert not hasattr(door, "nonsense")


def test_public_names_are_loaded_when_used() -> None:
    source = """
import sys
import pipeline.run, pipeline.tables, pipeline.store, pipeline.images, jobs.cli
for heavy in ("torch", "ray", "pyarrow", "numpy", "PIL", "fsspec", "yaml", "jinja2", "vl_convert"):
    assert heavy not in sys.modules, heavy
pipeline.tables.RunTables
for heavy in ("torch", "ray"):
    assert heavy not in sys.modules, heavy
pipeline.run.run, pipeline.Request, pipeline.run.ShardWorker, pipeline.run.Status
assert "torch" in sys.modules and "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)
    assert pipeline.Job.__name__ == "Job"
