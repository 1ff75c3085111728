"""What a run has committed already: what resuming and estimating start from."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.store.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Committed:
    """Ids that are done, and what they took.

    explained  ids
    failed     ids that failed and were never explained
    attempts   images worked on; `seconds` workers took for them, in all
    """

    explained: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    attempts: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, folder: RunFolder) -> Committed:
        """Read from the commit markers."""
        explained: set[str] = set()
        failed: set[str] = set()
        attempts, seconds = 0, 0.0
        for commit in folder.commits():
            explained.update(commit.explained)
            failed.update(commit.failed)
            attempts += len(commit.explained) + len(commit.failed)
            seconds += commit.seconds
        return cls(explained, failed - explained, attempts, seconds)
