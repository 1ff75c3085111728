"""The import direction jobs -> pipeline -> inr_core, checked against the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALLOWED = {  # import -> the only places that may use it
    "ray": ("pipeline/cluster.py", "pipeline/scheduler.py", "jobs/submit.py"),
    "pyarrow": ("pipeline/",),
    "fsspec": ("pipeline/",),
    "pydantic": ("pipeline/",),
    "torchvision": ("pipeline/images.py", "pipeline/classifiers.py"),
    "timm": ("pipeline/hubs.py",),
    "transformers": ("pipeline/hubs.py",),
    "captum": ("inr_core/peers/ig.py",),
    "PIL": ("pipeline/", "jobs/demo.py"),
    "typer": ("jobs/",),
    "rich": ("jobs/",),
    "inr_core": ("inr_core/", "pipeline/", "jobs/"),
    "pipeline": ("pipeline/", "jobs/"),
    "jobs": ("jobs/",),
}
PUBLIC = ("inr_core", "inr_core.metrics", "inr_core.peers")  # whose names other layers may use


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def broken_imports(root: Path) -> list[str]:
    broken = []
    for package in ("inr_core", "pipeline", "jobs"):
        for path in sorted((root / package).rglob("*.py")):
            here = path.relative_to(root).as_posix()
            for name in imported(path.read_text()):
                top = name.split(".")[0]
                if not here.startswith(ALLOWED.get(top, ("",))):
                    broken.append(f"{here} must not import {name}")
                public = name in PUBLIC or name.rpartition(".")[0] in PUBLIC
                if top == "inr_core" and package != "inr_core" and not public:
                    broken.append(f"{here} must import {name} from inr_core's public names")
    return broken


def test_imports_respect_the_layers() -> None:
    assert broken_imports(ROOT) == []


def test_the_check_sees_a_violation(tmp_path: Path) -> None:
    for name, source in {
        "inr_core/a.py": "def f():\n    import ray\n",
        "pipeline/b.py": "from jobs import cli\nfrom inr_core.siren import siren\n",
        "jobs/c.py": "import pipeline\nfrom inr_core.metrics import perimeter\n",
        "jobs/d.py": "from inr_core.metrics.shape import perimeter\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    assert broken_imports(tmp_path) == [
        "inr_core/a.py must not import ray",
        "pipeline/b.py must not import jobs.cli",
        "pipeline/b.py must import inr_core.siren.siren from inr_core's public names",
        "jobs/d.py must import inr_core.metrics.shape.perimeter from inr_core's public names",
    ]


def test_public_names_are_loaded_when_used() -> None:
    source = """
import sys
import pipeline.commits
assert "torch" not in sys.modules
for name in pipeline.__all__:
    assert getattr(pipeline, name).__name__ == name, name
    assert f"pipeline.{name}" not in sys.modules, name
assert set(pipeline.__all__) <= set(dir(pipeline))
assert not hasattr(pipeline, "nonsense")
"""
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)
