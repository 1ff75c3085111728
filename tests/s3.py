"""An S3 server on the loopback (moto) that can be slow, fail, lose its answers and cut them off."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

ENVIRONMENT = {  # of clients, besides the address
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(slots=True)
class Faults:
    """What goes wrong with a request: shares of all, decided by a seeded generator.

    latency  seconds before every answer
    busy     is refused with 503 and not done
    lost     is done, and answered with 500 all the same
    cut      its answer ends in the middle
    at       called with the number of each request before it is done, and after it
    """

    latency: float = 0.0
    busy: float = 0.0
    lost: float = 0.0
    cut: float = 0.0
    at: Callable[[int, bool], None] = lambda number, done: None
    random: random.Random = field(default_factory=lambda: random.Random(0))


class S3Server:
    """The server; `faults` may be replaced at any time."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # else a line per request
        self.faults = Faults()
        self.requests = self.hurt = 0  # answered so far, and of these in some wrong way
        self.sent: list[tuple[str, int]] = []  # method and bytes of each answer
        self._turn = threading.Lock()
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        while self._server._server is None:
            time.sleep(0.01)
        self._app, self._server._server.app = self._server._server.app, self._answer
        host, port = self._server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.address}

    def bucket(self) -> str:
        """`s3://BUCKET` of a fresh bucket."""
        import s3fs

        name = f"test-{uuid.uuid4().hex}"
        keys = ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]
        s3fs.S3FileSystem(endpoint_url=self.address, key=keys[0], secret=keys[1]).mkdir(name)
        return f"s3://{name}"

    def stop(self) -> None:
        """End it, with all that it holds."""
        self._server.stop()

    def _answer(self, environ: Any, start_response: Any) -> Any:
        faults = self.faults
        with self._turn:
            self.requests += 1
            number, chance = self.requests, faults.random.random()
            self.hurt += chance < faults.busy + faults.lost + faults.cut or faults.latency > 0
        time.sleep(faults.latency)
        faults.at(number, False)
        if chance < faults.busy:
            start_response("503 Slow Down", [("Content-Length", str(len(BUSY)))])
            return [BUSY]
        status, headers, body = self._done(environ)
        faults.at(number, True)
        if chance < faults.busy + faults.lost:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        start_response(status, headers)
        if chance < faults.busy + faults.lost + faults.cut and len(body) > 1:
            return _half(body)
        return [body]

    def _done(self, environ: Any) -> tuple[str, list[tuple[str, str]], bytes]:
        """Do one at a time: a create-only PUT is atomic as on S3; moto looks first, writes then."""
        found: list[Any] = []
        with self._turn:
            body = b"".join(self._app(environ, lambda *given: found.extend(given)))
        self.sent.append((environ["REQUEST_METHOD"], len(body)))
        return found[0], found[1], body


def _half(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError("cut off on purpose")


@contextmanager
def serving() -> Iterator[S3Server]:
    """A server for a while."""
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()
