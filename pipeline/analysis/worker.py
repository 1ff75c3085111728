"""The worker of an analysis: reads what a commit of the run holds, for an analyst to look at."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch

from inr_core import is_out_of_memory
from pipeline.analysis.kind import Given, Kind
from pipeline.classifiers import helpers
from pipeline.errors import BrokenWorker, ImageError, RequestError, describe
from pipeline.images import READERS, LoadedImage, Together, decoded, load_image, prefetch
from pipeline.manifest import ImageRef
from pipeline.results import Originals
from pipeline.run import Turn, chunks, prepare_device
from pipeline.tables import (
    FAILURES,
    ExplainedImage,
    Row,
    Shard,
    ShardResult,
    encoded,
    failure_row,
    read,
)

Item = tuple[ImageRef, Given]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisSpec:
    """What a worker needs besides its shards; travels to the actors.

    uri      of the run
    root     where its images are now, if they have moved
    workers  of the analysis, on all nodes
    threads  CPU threads; sums depend on it in their last bit
    """

    uri: str
    kind: Kind
    device: str
    root: str | None = None
    workers: int = 1
    threads: int = 1


class AnalysisWorker:
    """Holds an analyst; calling it analyses the images of a shard.

    notes  what the user should know about this worker
    """

    def __init__(self, spec: AnalysisSpec, name: str = "") -> None:
        prepare_device(spec.device, spec.threads, None, compile=False)
        self.spec, self.kind = spec, spec.kind
        self.name = name or socket.gethostname()
        self.analyst = spec.kind.make(spec.device)
        classifier = self.analyst.classifier
        self.notes = () if classifier is None else tuple(classifier.module.notes)
        self.readers = [read(uri) for uri in (spec.uri, *spec.kind.others)]
        self.originals = Originals(spec.root)
        self.batch = spec.kind.batch[spec.device]
        self.decoding = threading.Semaphore(helpers(spec.device, spec.workers))

    def __call__(self, shard: Shard, turn: Turn | None = None) -> ShardResult:
        """Analyse every image of the shard; what cannot be analysed becomes a failure row.

        turn  see `ShardWorker`: shards are read and their first images decoded outside of it
        Raises BrokenWorker.
        """
        if not shard.sources:
            with turn or nullcontext():
                return self._probe(shard)
        rows: dict[str, list[Row]] = {table: [] for table in shard.layout.tables}
        failures = rows[shard.layout.failures]
        found = self._read(shard, failures)
        read = Together([] if self.spec.root else [given.one.row["image"] for _, given in found])
        load = partial(self._load, read)
        loaded = prefetch(found, load, ahead=2 * self.batch, threads=READERS)
        with closing(loaded), turn or nullcontext():
            started = time.monotonic()
            for batch in chunks(_usable(loaded, failures), self.batch):
                self._analyse(batch, rows, failures)
            seconds = time.monotonic() - started
        failed = {row["id"]: row for row in failures}
        failures[:] = failed.values()  # an image is done with all of its classes, or not at all
        for table in self.kind.tables:
            rows[table] = [row for row in rows[table] if row["id"] not in failed]
        done = [ref.id for ref in shard.refs if ref.id not in failed]
        schemas = {**self.kind.tables, shard.layout.failures: FAILURES}
        return encoded(shard, rows, schemas, done, seconds, self.name)

    def _read(self, shard: Shard, failures: list[Row]) -> list[Item]:
        """The shard's images, in the order of the run; all files are read once."""
        refs = {ref.id: ref for ref in shard.refs}
        try:
            own, *others = (
                {
                    (one.id, one.row["target"]): one
                    for name in names
                    for one in reader.of_commit(name)
                }
                for reader, names in zip(self.readers, shard.sources, strict=True)
            )
        except FileNotFoundError:
            error = ImageError("read", "the run has changed meanwhile; the same command once more")
            failures += [failure_row(ref, error) for ref in shard.refs]
            return []
        return [
            (replace(refs[key[0]], image=one.row["image"]), self._given(key, one, others))
            for key, one in own.items()
            if key[0] in refs
        ]

    def _given(
        self,
        key: tuple[str, int],
        one: ExplainedImage,
        others: list[dict[tuple[str, int], ExplainedImage]],
    ) -> Given:
        return Given(one, None, tuple(other.get(key) for other in others))

    def _load(self, read: Callable[[str], bytes], item: Item) -> Given:
        """With all that is read of the image; ImageError where another one was explained."""
        given = item[1]
        one = given.one
        if self.kind.pixels:
            one.row = self._where_it_is(one.row)
            data = read(one.row["image"])
            with self.decoding:
                given = replace(given, loaded=self._pixels(one.row, data))
        with self.decoding:
            return replace(given, prepared=self.analyst.prepare(given))

    def _where_it_is(self, row: Row) -> Row:
        """With the paths of its files if they have moved."""
        files = {name: row[name] for name in ("image", "mask") if row.get(name)}
        try:
            found = {name: self.originals.uri({"image": uri}) for name, uri in files.items()}
        except RequestError as error:
            raise ImageError("read", str(error)) from None
        return {**row, **found}

    def _pixels(self, row: Row, data: bytes) -> LoadedImage:
        assert self.analyst.preprocess is not None
        loaded = decoded(data, self.analyst.preprocess)
        if row["digest"] and loaded.digest != row["digest"]:
            raise ImageError(
                "read",
                "the file is another one than when it was explained; `xaipipe run` with --changed "
                "explain explains it anew",
            )
        return loaded

    def _analyse(self, batch: list[Item], rows: dict[str, list[Row]], failures: list[Row]) -> None:
        """A batch; if it raises, half of it where memory ran out, else each image alone."""
        try:
            for table, found in self.analyst([given for _, given in batch]).items():
                rows[table] += found
            return
        except Exception as error:  # whatever the model raises for an image is that image's failure
            memory = is_out_of_memory(error)
            if isinstance(error, torch.AcceleratorError) and not memory:
                raise BrokenWorker(describe(error)) from None
            stage, reason = self.kind.name, describe(error)
            if isinstance(error, ImageError):
                stage, reason = error.stage, error.reason
            failure = ImageError(stage, reason)  # without the tensors that the old one holds
        if len(batch) == 1:
            failures.append(failure_row(batch[0][0], failure))
            return
        size = max(1, len(batch) // 2) if memory else 1
        if memory:
            self.batch = size
        for part in chunks(batch, size):
            self._analyse(part, rows, failures)

    def _probe(self, shard: Shard) -> ShardResult:
        """Has the classifier look at images of ours, as they are."""
        classifier = self.analyst.classifier
        for ref in shard.refs:
            if classifier is None:
                break
            pixels = load_image(ref.image, classifier.preprocess).pixels[None]
            with torch.no_grad():
                classifier.classify(pixels.to(classifier.device))
        return encoded(shard, {shard.layout.failures: []}, {}, [], 0.0, self.name)


def _usable(
    decoded: Iterable[tuple[Item, Given | ImageError]], failures: list[Row]
) -> Iterator[Item]:
    for (ref, _), given in decoded:
        if isinstance(given, ImageError):
            failures.append(failure_row(ref, given))
        else:
            yield ref, given
