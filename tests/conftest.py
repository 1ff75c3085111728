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

import pytest


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


@pytest.fixture(params=["disk", "memory", "s3"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, of each kind; its name has a space and a `#`."""
    if request.param == "disk":
        return str(tmp_path / "my out #1")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/my out #1"
    return f"{request.getfixturevalue('s3_url')}/my out #1"
