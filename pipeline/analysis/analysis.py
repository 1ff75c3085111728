"""An analysis of a finished run: what is pending of it, for the driver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from pipeline.analysis.kind import Kind
from pipeline.analysis.worker import AnalysisSpec, AnalysisWorker
from pipeline.manifest import ImageRef
from pipeline.run import Gpus, Plan, grows, places
from pipeline.store import Commit, Committed, RunFolder, Store
from pipeline.tables import RunReader, RunTables, Shard, most_frequent

FEW = 32  # images: Ray, and a classifier for every worker, would take longer than the work


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisTerms:
    """On which terms an analysis is done; names and meanings are those of a `Job`."""

    gpus: Gpus = None
    workers: int | None = None
    address: str | None = None
    timeout: float | None = None
    retry_failed: bool = False
    overwrite: bool = False
    max_failures: int | float | None = None
    root: str | None = None


class Analysis:
    """A kind of analysis of one run; `pipeline.run.run` does what is pending.

    only  ids that are asked for; None: all that the run has explained
    Raises RequestError where the settings are others than those of the rows that are there.
    """

    def __init__(
        self,
        run: RunReader,
        kind: Kind,
        job: AnalysisTerms | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self.run, self.kind, self.only = run, kind, only
        self.job = job or AnalysisTerms()
        self.others = [RunTables(uri) for uri in kind.others]
        self.store = Store(run.store.uri, kind.layout.temporary)
        self.folder = RunFolder(self.store, kind.layout)
        self.fingerprint = {"kind": kind.name, **json.loads(json.dumps(kind.settings))}
        if not self.job.overwrite:
            self.folder.check(self.fingerprint)
        self.device, self.workers = places(self.job.gpus, self.job.workers, self.job.address)
        self.gpu, self.grow = 1.0, grows(self.job.gpus, self.job.address)
        free = (self.job.gpus, self.job.workers, self.job.address) == (None, None, None)
        if free and self.plan(self.committed()).pending <= FEW:
            self.workers = 0

    def committed(self) -> Committed:
        """What is there and still belongs to what the runs know."""
        if self.job.overwrite:
            return Committed(contents=self.folder.contents())
        committed = Committed.of(self.folder)
        known = {**committed.failed, **committed.explained}
        return committed.without(
            {id_ for id_, stands in known.items() if self._stands(id_) != stands}
        )

    def plan(self, committed: Committed) -> Plan:
        """Counts what is pending."""
        images = [id_ for commit in self._commits() for id_ in self._asked(commit)]
        shards = [len(ids) for _, ids in self._pending(committed)]
        return Plan(
            images=len(images),
            done=sum(id_ in committed.explained for id_ in images),
            failed=sum(id_ in committed.failed for id_ in images),
            pending=sum(shards),
            shards=len(shards),
            shard_size=max(shards, default=0),
            workers=self.workers,
            device=self.device,
        )

    def shards(self, plan: Plan, committed: Committed, salt: str) -> Iterator[Shard]:
        """What is pending of every commit of the run."""
        for commit, ids in self._pending(committed):
            refs = (
                ImageRef(id=id_, image="", target=None, extra={}, stands=self._stands(id_))
                for id_ in ids
            )
            others = (
                tuple(sorted({name for id_ in ids for name in other.index.names_of(id_)}))
                for other in self.others
            )
            yield Shard(tuple(refs), salt, self.kind.layout, ((commit.name,), *others))

    def make(self, plan: Plan) -> Callable[..., AnalysisWorker]:
        """Makes a worker; travels to where it works."""
        spec = AnalysisSpec(
            uri=self.store.uri,
            kind=self.kind,
            device=self.device,
            root=self.job.root,
            workers=max(1, self.workers),
        )
        return partial(AnalysisWorker, spec)

    def files(self) -> tuple[str, ...]:
        """None: each kind of analyst reads what it needs."""
        return ()

    def first_files(self) -> dict[str, bytes]:
        """What lies beside the tables from the start, by name."""
        return {}

    def about(self) -> dict[str, Any]:
        """What the stored plan says of it besides the counts."""
        return {"kind": self.kind.name, "terms": asdict(self.job)}

    def reasons(self) -> list[tuple[tuple[str, str], int]]:
        """((stage, reason), images) of what has failed, most first."""
        home = next(iter(self.kind.tables))
        failures = self.run.derived(self.kind.layout.failures, of=home)
        return (
            [] if failures is None else most_frequent(failures, Committed.of(self.folder).explained)
        )

    def _commits(self) -> Iterator[Commit]:
        return (commit for commit in self.run.index.commits.values() if commit.explained)

    def _asked(self, commit: Commit) -> list[str]:
        return [id_ for id_ in commit.explained if self.only is None or id_ in self.only]

    def _pending(self, committed: Committed) -> Iterator[tuple[Commit, list[str]]]:
        done = committed.explained.keys()
        for commit in self._commits():
            ids = [
                id_
                for id_ in self._asked(commit)
                if id_ not in done and (self.job.retry_failed or id_ not in committed.failed)
            ]
            if ids:
                yield commit, ids

    def _stands(self, id_: str) -> int:
        """Digest of where the other runs know the image from; 0 without others."""
        if not self.others:
            return 0
        names = [other.index.names_of(id_) for other in self.others]
        data = hashlib.blake2b(json.dumps(names).encode(), digest_size=6).digest()
        return int.from_bytes(data, "big")
