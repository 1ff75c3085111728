"""What a run has committed already: what resuming and estimating start from."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field, replace

from pipeline.store.commits import Commit
from pipeline.store.contents import Contents
from pipeline.store.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Committed:
    """Ids that are done, and what they took.

    explained  ids, with the digest of what each stands for, 0 if none was stored
    failed     likewise ids that failed and were never explained
    attempts   images worked on; `seconds` workers took for them, in all
    since      when the first of these attempts began, in seconds since the epoch
    names      of the commits that stay
    cut        commits that stay but for some of their images
    contents   that all this was read from
    """

    explained: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    seconds: float = 0.0
    since: float = 0.0
    names: set[str] = field(default_factory=set)
    cut: tuple[Commit, ...] = ()
    contents: Contents | None = None

    @classmethod
    def of(cls, folder: RunFolder) -> Committed:
        """Read from the commit markers; of two with an image in common the newer one stays."""
        explained: dict[str, int] = {}
        failed: dict[str, int] = {}
        names: set[str] = set()
        attempts, seconds, since = 0, 0.0, float("inf")
        contents = folder.contents()
        for commit in contents.commits():
            if any(id_ in explained for id_ in commit.explained):
                continue
            names.add(commit.name)
            explained.update((id_, commit.stands.get(id_, 0)) for id_ in commit.explained)
            for id_ in commit.failed:
                failed.setdefault(id_, commit.stands.get(id_, 0))
            attempts += len(commit.explained) + len(commit.failed)
            seconds += commit.seconds
            since = min(since, commit.finished - commit.seconds)
        only_failed = {id_: stands for id_, stands in failed.items() if id_ not in explained}
        since = since if names else 0.0
        return cls(explained, only_failed, attempts, seconds, since, names, contents=contents)

    def without(self, ids: Set[str]) -> Committed:
        """As if these had never been worked on; their commits are to be cut."""
        if not ids or self.contents is None:
            return self
        cut = tuple(
            commit
            for commit in self.contents.commits()
            if commit.name in self.names and not ids.isdisjoint(commit.explained)
        )
        return replace(
            self,
            explained={id_: s for id_, s in self.explained.items() if id_ not in ids},
            failed={id_: s for id_, s in self.failed.items() if id_ not in ids},
            names=self.names - {commit.name for commit in cut},
            cut=cut,
        )
