"""For all tests: the command line, and stores (a folder, fsspec's memory, S3 on the loopback)."""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
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
def s3_server() -> Iterator[str]:
    """Address of an S3 server; this process and its children use it for plain `s3://` URLs."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line per request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    answer_one_at_a_time(server)
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_ENDPOINT_URL", address)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_CONFIG_FILE", os.devnull)
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield address
    server.stop()


def answer_one_at_a_time(server: Any) -> None:
    """Makes a create-only PUT atomic, as on S3; the imitation looks first and writes then."""
    app, turn = server._server.app, threading.Lock()

    def serve(environ: Any, start_response: Any) -> Any:
        with turn:
            return app(environ, start_response)

    server._server.app = serve


@pytest.fixture
def s3_url(s3_server: str) -> str:
    """`s3://BUCKET` of a fresh bucket."""
    import s3fs

    bucket = f"test-{uuid.uuid4().hex}"
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}"


@pytest.fixture(params=["disk", "memory", "s3", "slow"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, of each kind; its name has a space and a `#`."""
    if request.param == "disk":
        return str(tmp_path / "my out #1")
    if request.param == "slow":
        from tests.slow_store import SlowFileSystem

        fsspec.register_implementation("slow", SlowFileSystem, clobber=True)
        return f"slow://{uuid.uuid4().hex}/my out #1"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/my out #1"
    return f"{request.getfixturevalue('s3_url')}/my out #1"


@pytest.fixture(scope="session")
def shapes_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a small run over `data/manifest.csv` beside it, not to be changed.

    Three generated images and `rotated/ü 1`, a JPEG of 300 x 200 pixels that is upright on its
    side; two restarts, two rounds, areas .05 and .2, a further column `split`, two shards.
    """
    from PIL import Image

    from pipeline import Request, load_job
    from pipeline.run import driver
    from pipeline.shapes import write_dataset

    folder = tmp_path_factory.mktemp("shapes_run")
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
    return folder / "out"
