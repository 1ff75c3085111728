"""Leases: whose commits count.

A lease is a driver's turn at a run, with the number of its lock. As it begins, it records which
markers it has found and builds upon. From then on a marker counts if the newest lease builds upon
it, or has written it itself. What a driver of an older lease still writes, on waking from a pause,
counts for nothing: its images were pending for the newer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.store.commits import lease_of, name_of
from pipeline.store.documents import damaged, decode, encode
from pipeline.store.layout import RUN, Layout
from pipeline.store.store import Store


@dataclass(frozen=True, slots=True)
class Lease:
    """One driver's turn.

    builds_on    names of the markers that it has found and counts
    fingerprint  of the run
    """

    number: int = 0
    builds_on: frozenset[str] = frozenset()
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def counts(self, name: str) -> bool:
        """Whether the marker of this name is part of the run."""
        return lease_of(name) >= self.number or name in self.builds_on

    def write(self, store: Store, layout: Layout = RUN) -> None:
        """Makes it the newest lease, at once; older ones go."""
        content = {"builds_on": sorted(self.builds_on), "fingerprint": self.fingerprint}
        store.put(f"{layout.leases}/{self.number:06d}.json", encode(content))
        store.delete([name for name in store.list(layout.leases) if number_of(name) < self.number])

    @classmethod
    def newest(cls, store: Store, layout: Layout = RUN) -> Lease:
        """The newest lease of a run, an empty one if there is none."""
        while names := sorted(store.list(layout.leases), key=number_of):
            try:
                data = store.get(names[-1])
            except FileNotFoundError:  # deleted since listed, by a newer one
                continue
            content = decode(store, names[-1], data)
            try:
                markers = frozenset(content["builds_on"])
                return cls(number_of(names[-1]), markers, content["fingerprint"])
            except (KeyError, TypeError) as error:
                raise damaged(store, names[-1], str(error)) from error
        return cls()


def number_of(file: str) -> int:
    """Number of a lease by its file; 0 for other files."""
    name = name_of(file)
    return int(name) if name.isdecimal() else 0
