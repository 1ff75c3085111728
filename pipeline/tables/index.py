"""Which files of a run hold what, from its commit markers: all of them, and those of one id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from pipeline.store import Commit


class FileIndex:
    """Commits of a run, or of an analysis, and the tables that they have files of.

    Once the markers are read, an id is looked up without another request.
    """

    def __init__(self, commits: Iterable[Commit], tables: Sequence[str]) -> None:
        self.commits = {commit.name: commit for commit in commits}
        self.tables = tuple(tables)

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """Names of the files of each table, sorted."""
        return self._files(self.commits.values())

    def files_of(self, table: str, id_: str) -> list[str]:
        """Names of the files of a table that may have rows of this id."""
        return self._files(self.commits[name] for name in self.names_of(id_))[table]

    def names_of(self, id_: str) -> tuple[str, ...]:
        """Names of the commits that know this id; nearly always one."""
        return self._names.get(id_, ())

    def part(self, names: Iterable[str]) -> FileIndex:
        """Of the commits of these names alone."""
        return FileIndex((self.commits[name] for name in names), self.tables)

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        names: dict[str, tuple[str, ...]] = {}
        for commit in self.commits.values():
            one = (commit.name,)  # the same for all its ids: there may be millions
            for id_ in (*commit.explained, *commit.failed):
                names[id_] = names[id_] + one if id_ in names else one
        return names

    def _files(self, commits: Iterable[Commit]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {table: [] for table in self.tables}
        for commit in commits:
            for file in commit.files:
                found[file.rpartition("/")[0]].append(file)
        return {table: sorted(files) for table, files in found.items()}
