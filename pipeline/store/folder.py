"""The folder of a run: its fingerprint, plans, committed shards and summary.

A shard is part of the run as soon as its marker `_run/commits/NAME.json` is there, written last and
only once, and as long as the tables' files that it names are (see `Contents`). A table file without
a marker is left over from a driver that died.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from pipeline.differences import differing
from pipeline.errors import RequestError, RunError
from pipeline.store.commits import Commit
from pipeline.store.contents import Contents
from pipeline.store.documents import decode, encode
from pipeline.store.layout import DERIVED, RUN, RUN_HOME, Layout
from pipeline.store.leases import Lease
from pipeline.store.lock import RunLock
from pipeline.store.store import Store


class RunFolder:
    """One run in a store, or one analysis of it (`layout`).

    Everything that writes is for the driver that holds the lock.
    """

    def __init__(self, store: Store, layout: Layout = RUN) -> None:
        self._store = store
        self.layout = layout
        self._lock: RunLock | None = None
        self._lease = Lease()
        self._committed: set[str] = set()  # names of the commits of this lease

    def open(
        self,
        fingerprint: dict[str, Any],
        lock: RunLock | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        """Starts a run, or resumes it if the stored fingerprint is the same.

        lock       that of this driver, which its lease has the number of; None: the next number
        overwrite  discard the stored run first
        RequestError names every field that differs. A folder whose tables no run has written is
        refused in any case.
        """
        newest = Lease.newest(self._store, self.layout)
        self._lock = lock
        number = newest.number + 1 if lock is None else lock.number
        self._lease = Lease(number, frozenset(), fingerprint)
        if overwrite and (newest.number or self._store.exists(self.layout.fingerprint)):
            self._discard()
            return
        known = self.fingerprint()
        if known is None:
            self._refuse_foreign_files()
        else:
            self._refuse_difference(known, fingerprint)
        if known is None or self._stored_fingerprint() is None:
            self.check_lock()
            self._store.put(self.layout.fingerprint, encode(fingerprint))

    def begin(self, keep: Collection[str]) -> None:
        """Starts this driver's lease on the commits of these names; no others count any more."""
        self._lease = replace(self._lease, builds_on=frozenset(keep))
        self._lease.write(self._store, self.layout)

    def sweep(self, contents: Contents) -> list[str]:
        """Deletes what earlier drivers left and this one's lease does not count.

        Only under the lock and after `begin`. Returns the deleted names; files that no driver has
        named stay.
        """
        strays = contents.left_over(self._lease.builds_on, self._lease.number)
        strays += self._store.list(self.layout.temporary)
        self._store.delete(strays)
        return strays

    def check(self, fingerprint: dict[str, Any]) -> None:
        """RequestError if the stored run has another fingerprint; reads only."""
        known = self.fingerprint()
        if known is not None:
            self._refuse_difference(known, fingerprint)

    def fingerprint(self) -> dict[str, Any] | None:
        """What the run was started with, None if there is no run; its leases know it, too."""
        stored = self._stored_fingerprint()
        return stored or dict(Lease.newest(self._store, self.layout).fingerprint) or None

    def write_plan(self, plan: dict[str, Any]) -> str:
        """Stores `plan` under the next free number; returns its name."""
        data = encode(plan)
        number = len(self._plan_names()) + 1
        while True:
            name = f"{self.layout.plans}/{number:04d}.json"
            try:
                self._store.put_new(name, data)
                return name
            except FileExistsError:
                number += 1

    def plans(self) -> list[dict[str, Any]]:
        """All plans, oldest first."""
        names = self._plan_names()
        found = self._store.get_many(names)
        return [decode(self._store, name, found[name]) for name in names]

    def commit(self, tables: Mapping[str, bytes], commit: Commit) -> None:
        """Publishes a shard's tables and then its marker; absent tables have no rows.

        Committing a shard again changes nothing. RunError if this driver's lock is lost: the last
        look at it comes right before the marker, and what was written since is deleted.
        """
        commit = replace(commit, lease=self._lease.number)
        if commit.name in self._committed:
            return
        self.check_lock()
        # `images` last: who reads meanwhile finds all the rows that belong to an image.
        for table in reversed(self.layout.tables):
            if table in tables:
                self._store.put(f"{table}/{commit.name}.parquet", tables[table])
        try:
            self.check_lock()
        except RunError:
            self._delete_tables([commit.name])
            raise
        self._store.put_new(f"{self.layout.commits}/{commit.name}.json", encode(asdict(commit)))
        self._committed.add(commit.name)

    def check_lock(self) -> None:
        """RunError if another driver has taken over; deletes what does not count because of it."""
        try:
            if self._lock is not None:
                self._lock.check()
        except RunError:
            with suppress(RunError, RequestError):
                self._withdraw()
            raise

    def contents(self) -> Contents:
        """What lies in the folder, listed now."""
        return Contents(self._store, self.layout)

    def commits(self) -> Iterator[Commit]:
        """All commits that count, newest lease first and ordered by shard, a batch at a time."""
        return self.contents().commits()

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Stores the summary of the run, replacing the previous one; RunError like `commit`."""
        self.check_lock()
        self._store.put(self.layout.summary, encode(summary))

    def summary(self) -> dict[str, Any] | None:
        """The summary of the run, None before it has one."""
        return self._read(self.layout.summary)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return decode(self._store, name, self._store.get(name))
        except FileNotFoundError:
            return None

    def _stored_fingerprint(self) -> dict[str, Any] | None:
        """That of its own file; None also where this is damaged, if a lease has it."""
        try:
            data = self._store.get(self.layout.fingerprint)
        except FileNotFoundError:
            return None
        try:
            return decode(self._store, self.layout.fingerprint, data)
        except RunError as error:
            if Lease.newest(self._store, self.layout).fingerprint:
                return None
            raise RequestError(
                f"{self._store.uri}: {self.layout.fingerprint} is damaged, expected a JSON object; "
                f"{self.layout.remedy}"
            ) from error

    def _plan_names(self) -> list[str]:
        return sorted(self._store.list(self.layout.plans), key=lambda name: (len(name), name))

    def _refuse_foreign_files(self) -> None:
        for table in self.layout.tables:
            if files := self._store.list(table):
                self.check_lock()  # else they may be those of who has taken over
                raise RequestError(
                    f"{self._store.uri}: holds {files[0]}, but no run "
                    f"({self.layout.fingerprint} is missing); expected {self.layout.expected}"
                )

    def _refuse_difference(self, known: dict[str, Any], asked: dict[str, Any]) -> None:
        differences = [
            f"  {field}: {self.layout.holder} {one}, you asked for {other}"
            for field, one, other in differing(known, asked)
        ]
        if differences:
            raise RequestError(
                f"{self._store.uri}: holds {self.layout.thing} with another configuration:\n"
                + "\n".join(differences)
                + f"\n{self.layout.remedy}"
            )

    def _discard(self) -> None:
        """Makes the run an empty one, at once; its files are for `sweep`."""
        self._lease.write(self._store, self.layout)
        self.check_lock()
        self._store.put(self.layout.fingerprint, encode(self._lease.fingerprint))
        self._store.delete([*self._plan_names(), self.layout.summary])
        if self.layout is RUN:
            for folder in DERIVED:
                self._store.delete_folder(folder)
                self._store.delete_folder(f"{RUN_HOME}/{folder}")

    def _withdraw(self) -> None:
        """Deletes what this driver has written and a newer lease does not count, if there is one.

        Who has taken over without having begun may still count all of it.
        """
        newest = Lease.newest(self._store, self.layout)
        names = [name for name in self._committed if not newest.counts(name)]
        self._store.delete([f"{self.layout.commits}/{name}.json" for name in names])
        self._delete_tables(names)

    def _delete_tables(self, names: Collection[str]) -> None:
        tables = self.layout.tables
        self._store.delete([f"{table}/{name}.parquet" for name in names for table in tables])
