"""The folder of a run: its fingerprint, plans, committed shards and summary.

A shard is part of the run as soon as its marker `_run/commits/SHARD.json` exists; the marker is
written last and only once. A table file without a marker is left over from a driver that died.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.errors import RequestError, RunError
from pipeline.store.commits import TABLES, Commit, is_shard_file, shard_of
from pipeline.store.differences import differing
from pipeline.store.disk import TEMPORARY
from pipeline.store.documents import damaged, decode, encode
from pipeline.store.store import Store

FINGERPRINT = "_run/fingerprint.json"
SUMMARY = "_run/summary.json"
COMMITS = "_run/commits"
PLANS = "_run/plans"
BATCH = 512  # markers read at a time


class RunFolder:
    """One run in a store; everything that writes is for the driver that holds the lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, fingerprint: dict[str, Any], *, overwrite: bool = False) -> None:
        """Starts a run, or resumes it if the stored fingerprint is the same.

        RequestError names every field that differs. `overwrite` discards the stored run first.
        A folder whose tables no run has written is refused in any case.
        """
        known = self.fingerprint()
        if known is None:
            self._refuse_foreign_files()
        elif overwrite:
            self._clear()
            self._store.put(FINGERPRINT, encode(fingerprint))
            return
        else:
            self._refuse_difference(known, fingerprint)
            return
        try:
            self._store.put_new(FINGERPRINT, encode(fingerprint))
        except FileExistsError:  # of another driver, or our own if the store's client repeated it
            self._refuse_difference(self.fingerprint() or {}, fingerprint)

    def check(self, fingerprint: dict[str, Any]) -> None:
        """RequestError if the stored run has another fingerprint; reads only."""
        known = self.fingerprint()
        if known is not None:
            self._refuse_difference(known, fingerprint)

    def fingerprint(self) -> dict[str, Any] | None:
        """What the run was started with, None if there is no run."""
        return self._read(FINGERPRINT)

    def write_plan(self, plan: dict[str, Any]) -> str:
        """Stores `plan` under the next free number; returns its name."""
        data = encode(plan)
        number = len(self._plan_names()) + 1
        while True:
            name = f"{PLANS}/{number:04d}.json"
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

    def sweep(self) -> list[str]:
        """Deletes what a dead driver left: shards' table files without marker, half-written files.

        Only under the lock. Returns the deleted names; files that no driver has named stay.
        """
        committed = self._committed()
        strays = [
            name
            for table in TABLES
            for name in self._store.list(table)
            if is_shard_file(name) and shard_of(name) not in committed
        ]
        strays += self._store.list(TEMPORARY)
        self._store.delete(strays)
        return strays

    def commit(self, shard_name: str, tables: Mapping[str, bytes], commit: Commit) -> None:
        """Publishes a shard's tables and then its marker; absent tables have no rows.

        Committing the same ids again changes nothing; RunError if the shard has other ones.
        """
        marker = f"{COMMITS}/{shard_name}.json"
        if self._store.exists(marker):
            self._refuse_other_ids(marker, commit)
            return
        # `images` last: who reads meanwhile finds all the rows that belong to an image.
        for table in reversed(TABLES):
            if table in tables:
                self._store.put(f"{table}/{shard_name}.parquet", tables[table])
        try:
            self._store.put_new(marker, encode(asdict(commit)))
        except FileExistsError:  # the store's client may repeat a request whose answer was lost
            self._refuse_other_ids(marker, commit)

    def commits(self) -> Iterator[Commit]:
        """All commits, ordered by shard, read a batch at a time."""
        names = self._store.list(COMMITS)
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            found = self._store.get_many(batch)
            yield from (self._commit(name, found[name]) for name in batch if name in found)

    def table_files(self, table: str) -> list[str]:
        """Names of the committed files of a table."""
        committed = self._committed()
        return [name for name in self._store.list(table) if shard_of(name) in committed]

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Stores the summary of the run, replacing the previous one."""
        self._store.put(SUMMARY, encode(summary))

    def summary(self) -> dict[str, Any] | None:
        """The summary of the run, None before it has one."""
        return self._read(SUMMARY)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return decode(self._store, name, self._store.get(name))
        except FileNotFoundError:
            return None

    def _committed(self) -> set[str]:
        return {shard_of(name) for name in self._store.list(COMMITS)}

    def _commit(self, name: str, data: bytes) -> Commit:
        content = decode(self._store, name, data)
        try:
            content |= {key: tuple(content[key]) for key in ("explained", "failed")}
            return Commit(**content)
        except (KeyError, TypeError) as error:
            raise damaged(self._store, name, str(error)) from error

    def _plan_names(self) -> list[str]:
        return sorted(self._store.list(PLANS), key=lambda name: (len(name), name))

    def _refuse_foreign_files(self) -> None:
        for table in TABLES:
            if files := self._store.list(table):
                raise RequestError(
                    f"{self._store.uri}: holds {files[0]}, but no run ({FINGERPRINT} is missing); "
                    "expected a new or empty folder or a run: name another --out"
                )

    def _refuse_difference(self, known: dict[str, Any], asked: dict[str, Any]) -> None:
        differences = [
            f"  {field}: the run has {one}, you asked for {other}"
            for field, one, other in differing(known, asked)
        ]
        if differences:
            raise RequestError(
                f"{self._store.uri}: holds a run with another configuration:\n"
                + "\n".join(differences)
                + "\nname another --out, or discard that run with --overwrite"
            )

    def _refuse_other_ids(self, marker: str, commit: Commit) -> None:
        stored = self._commit(marker, self._store.get(marker))
        if (stored.explained, stored.failed) != (commit.explained, commit.failed):
            raise RunError(
                f"{self._store.uri}: {marker} exists with other images ({len(stored.explained)} "
                f"explained, {len(stored.failed)} failed; expected {len(commit.explained)} and "
                f"{len(commit.failed)}); run again to plan the pending images anew"
            )

    def _clear(self) -> None:
        """Deletes a run but for its fingerprint and lock; killed in between, it is an empty run."""
        for folder in (COMMITS, "_run", PLANS, TEMPORARY):
            names = self._store.list(folder)
            self._store.delete([name for name in names if name != FINGERPRINT])
        for table in TABLES:
            self._store.delete([name for name in self._store.list(table) if is_shard_file(name)])
