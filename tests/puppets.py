"""Drivers that a test leads by the hand: each stops before every use of its store."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline import RequestError, RunError, load_job
from pipeline.errors import ImageError
from pipeline.manifest import ImageRef, ManifestSummary, pair
from pipeline.manifest.ids import Ids
from pipeline.run import Request, Workers, driver
from pipeline.store import RunFolder, Store
from pipeline.tables import Rows, Shard, ShardResult, failure_row, shard_result

PATIENCE_S = 60.0
FINGERPRINT = {"schema_version": 2, "method": "centre"}


class Killed(BaseException):
    """A SIGKILL: nothing that the driver still does reaches its store."""


class Stepping(Store):
    """A store whose owner waits before every use; `gate` is called in the owner's thread alone."""

    gate: Callable[[], None] = staticmethod(lambda: None)
    owner: threading.Thread | None = None

    def _wait(self) -> None:
        if threading.current_thread() is self.owner:
            self.gate()

    def put(self, name: str, data: bytes) -> None:
        self._wait()
        super().put(name, data)

    def put_new(self, name: str, data: bytes) -> None:
        self._wait()
        super().put_new(name, data)

    def get(self, name: str) -> bytes:
        self._wait()
        return super().get(name)

    def get_many(self, names: Sequence[str]) -> dict[str, bytes]:
        self._wait()
        return super().get_many(names)

    def sizes(self, folder: str) -> dict[str, int]:
        self._wait()
        return super().sizes(folder)

    def exists(self, name: str) -> bool:
        self._wait()
        return super().exists(name)

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self._wait()
            super().delete([name])


class Listed:
    """A manifest of so many images."""

    uri = "manifest.csv"

    def __init__(self, count: int) -> None:
        ids = [f"image-{n}" for n in range(count)]
        self.refs = [ImageRef(id=i, image=f"{i}.jpg", target=0, extra={}, stands=7) for i in ids]

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.refs)

    def check(self) -> ManifestSummary:
        hashes = array("q", (hash(ref.id) for ref in self.refs))
        pairs = array("q", (pair(ref.id, ref.stands) for ref in self.refs))
        return ManifestSummary(
            images=len(self.refs), ids=Ids(hashes), pairs=Ids(pairs), extra_types={}
        )


class SmallRequest(Request):
    """A real request but for its classifier and its manifest."""

    def __init__(self, store: Store, images: int, **changes: Any) -> None:
        settings = {"manifest": "manifest.csv", "out": store.uri, "model": "builtin:shapes"}
        self.job = load_job(None, {**settings, "method": "centre", **changes})
        self.device, self.workers, self.columns, self.labels = "cpu", 0, {}, None
        self.store, self.folder = store, RunFolder(store)
        manifest: Any = Listed(images)
        self.manifest = manifest
        self.found = manifest.check()
        self.images = images
        self.fingerprint = dict(FINGERPRINT)


class Quick:
    """Explains at once: rows follow from the id alone. Every third image fails."""

    notes: tuple[str, ...] = ()

    def __call__(self, shard: Shard, turn: object = None) -> ShardResult:
        rows = Rows()
        for ref in shard.refs:
            if fails(ref.id):
                rows.failures.append(failure_row(ref, ImageError("decode", "no image")))
                continue
            rows.images.append({"id": ref.id, "image": ref.image, "target": 0, "digest": ref.id})
            rows.explanations.append({"id": ref.id, "target": 0, "restart": 0, "round": 0})
            for area in (0.1, 0.2):
                rows.masks.append({"id": ref.id, "target": 0, "area": area})
        return shard_result(shard, rows, {}, 0.0, "")


def fails(id_: str) -> bool:
    return int(id_.rpartition("-")[2]) % 3 == 2


class Puppet:
    """A driver in a thread of its own, which goes on only when it is told to."""

    def __init__(self, uri: str, images: int, **changes: Any) -> None:
        self.turn, self.arrived = threading.Semaphore(0), threading.Semaphore(0)
        self.dead = self.ended = False
        self.error: BaseException | None = None
        store = Stepping(uri)
        store.gate = self._gate  # type: ignore[method-assign]
        self.request = SmallRequest(store, images, **changes)
        self.thread = store.owner = threading.Thread(target=self._drive, daemon=True)
        self.thread.start()
        self._wait()

    def step(self, count: int) -> None:
        """Let it use its store so many times."""
        for _ in range(count):
            if not self.ended:
                self.turn.release()
                self._wait()

    def finish(self) -> None:
        """Let it run to its end."""
        while not self.ended:
            self.step(1)

    def kill(self) -> None:
        """Let it do nothing more."""
        self.dead = True
        self.finish()

    def _wait(self) -> None:
        assert self.arrived.acquire(timeout=PATIENCE_S), "the driver hangs"

    def _gate(self) -> None:
        if not self.dead:
            self.arrived.release()
            self.turn.acquire()
        if self.dead:
            raise Killed

    def _drive(self) -> None:
        workers = Workers(make=lambda name: Quick(), count=0, device="cpu")
        try:
            driver.run(self.request, lambda progress: None, workers)
        except (Killed, RunError, RequestError) as error:
            self.error = error
        finally:
            self.ended = True
            self.arrived.release()
