"""For all tests: the command line, and stores (a folder, fsspec's memory, S3 on the loopback)."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.once import made_once
from tests.variants import variants

# Ray's workers run at the lowest priority: beside other tests they would starve.
os.environ.setdefault("RAY_worker_niceness", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first; what needs a GPU is skipped where there is none."""
    slow = {
        item.path for item in items for mark in ("slow", "long") if item.get_closest_marker(mark)
    }
    items.sort(key=lambda item: item.path not in slow)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def xaipipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str]]:
    """Run a command line in this process; returns its exit code and what it printed."""
    from jobs import cli

    def run(*arguments: object) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["xaipipe", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        printed = capsys.readouterr()
        return exit_.value.code or 0, " ".join((printed.out + printed.err).split())

    return run


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[Any]:
    """An S3 server; this process and its children use it for plain `s3://` URLs."""
    from tests.s3 import serving

    with serving() as server, pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            environment.delenv(name, raising=False)
        for name, value in server.environment.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture
def s3_server(_s3_server: Any) -> Iterator[Any]:
    """The server, whose `faults` a test may set."""
    from tests.s3 import Faults

    yield _s3_server
    _s3_server.faults = Faults()


@pytest.fixture
def s3_url(s3_server: Any) -> str:
    """`s3://BUCKET` of a fresh bucket."""
    return str(s3_server.bucket())


@pytest.fixture(params=variants(["disk", "memory", "slow", "bad s3", "s3"], always=4))
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, of each kind; its name has a space and a `#`.

    slow    answers late, lists in any order, and is asked twice
    bad s3  is slow, refuses some requests, and some of its answers are lost or cut off
    """
    if request.param == "disk":
        return str(tmp_path / "my out #1")
    if request.param == "slow":
        from tests.slow_store import SlowFileSystem

        fsspec.register_implementation("slow", SlowFileSystem, clobber=True)
        return f"slow://{uuid.uuid4().hex}/my out #1"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/my out #1"
    bucket = request.getfixturevalue("s3_url")
    if request.param == "bad s3":
        from tests.s3 import Faults

        request.getfixturevalue("s3_server").faults = Faults(0.001, busy=0.02, lost=0.02, cut=0.02)
    return f"{bucket}/my out #1"


@pytest.fixture(scope="session")
def shapes_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small run over `data/manifest.csv` beside it, not to be changed.

    Three generated images and `rotated/ü 1`, a JPEG of 300 x 200 pixels that is upright on its
    side; two restarts, two rounds, areas .05 and .2, a further column `split`, two shards.
    """
    return made_once(tmp_path_factory, "shapes_run", _run_shapes) / "out"


def _run_shapes(folder: Path) -> None:
    from PIL import Image

    from pipeline import Request, load_job
    from pipeline.run import driver
    from pipeline.shapes import write_dataset

    manifest = write_dataset(folder / "data", 3, 0)
    images = folder / "data" / "images"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    first = Image.open(sorted(images.iterdir())[0]).resize((300, 200))
    first.save(images / "rotated.jpg", exif=exif)
    header, *rows = manifest.read_text().splitlines()
    rows = [*(f"{row},test" for row in rows), "rotated/ü 1,images/rotated.jpg,,,,,train"]
    manifest.write_text("\n".join([f"{header},split", *rows]) + "\n")
    given = {
        "manifest": str(manifest),
        "out": str(folder / "out"),
        "model": "builtin:shapes",
        "workers": 0,
        "steps": 3,
        "areas": [0.05, 0.2],
        "restarts": 2,
        "rounds": 2,
        "round_score": 0.0,
        "shard_size": 2,
    }
    driver.run(Request(load_job(None, given)), lambda progress: None)
