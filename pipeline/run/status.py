"""The state of a run, from what lies in its output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.store import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a run stands.

    state         of the last driver that ended by itself: finished, interrupted, stopped, or None
    explained     ids in `images`; failed: ids that only failed; pending: planned, neither of both
    lost          ids whose tables are missing; among the pending ones
    rows, bytes   per table, and in all
    images_per_s  since the last plan was made, None before the first commit
    last_commit   epoch seconds
    """

    state: str | None
    ended: float | None
    explained: int
    failed: int
    pending: int
    lost: int
    shards: int
    rows: dict[str, int]
    bytes: int
    images_per_s: float | None
    last_commit: float

    @classmethod
    def of(cls, folder: RunFolder) -> Status:
        """Read the plans, the markers and the summary."""
        found = list(folder.contents().read())
        commits = [commit for commit, whole in found if whole]
        explained = {id_ for commit in commits for id_ in commit.explained}
        failed = {id_ for commit in commits for id_ in commit.failed} - explained
        rows: Counter[str] = Counter()
        for commit in commits:
            rows.update(commit.rows)
        plan = (folder.plans() or [{}])[-1]
        started = plan.get("started", 0.0)
        recent = [c for c in commits if c.finished >= started]
        last = max((c.finished for c in commits), default=0.0)
        lost = [commit for commit, whole in found if not whole]
        early = sum(len(c.explained) + len(c.failed) for c in lost if c.finished < started)
        count = sum(len(c.explained) + len(c.failed) for c in recent)
        summary = folder.summary() or {}
        if summary.get("finished", 0.0) < started:  # of an earlier driver
            summary = {}
        return cls(
            state=summary.get("state"),
            ended=summary.get("finished"),
            explained=len(explained),
            failed=len(failed),
            pending=max(0, plan.get("pending", 0) - count) + early,
            lost=sum(len(c.explained) + len(c.failed) for c in lost),
            shards=len(commits),
            rows=dict(rows),
            bytes=sum(sum(commit.bytes.values()) for commit in commits),
            images_per_s=count / (last - started) if count and last > started else None,
            last_commit=last,
        )
