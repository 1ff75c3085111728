"""What could not be explained: reasons with their numbers, and some of the images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.tables import RunReader

CARDS = 100  # failed images in the gallery
REASONS = 50  # rows of the table


@dataclass(frozen=True, slots=True)
class Failures:
    """Images without an explanation, by their last attempt.

    reasons  (stage, reason, images), most first; `further`: (reasons, images) that are not listed
    cards    rows of the failures table, some of each reason
    """

    reasons: tuple[tuple[str, str, int], ...]
    further: tuple[int, int]
    cards: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, reader: RunReader) -> Failures:
        """Read the table; what was explained later has not failed."""
        explained = set(reader.images.to_table(columns=["id"])["id"].to_pylist())
        columns = ["id", "image", "stage", "reason"]
        rows = reader.failures.to_table(columns=columns).to_pylist()
        last = {row["id"]: row for row in rows if row["id"] not in explained}
        counts = Counter((row["stage"], row["reason"]) for row in last.values()).most_common()
        rest = [n for _, n in counts[REASONS:]]
        each = max(1, CARDS // max(1, len(counts)))
        seen: Counter[tuple[str, str]] = Counter()
        some = []
        for row in last.values():
            seen[why := (row["stage"], row["reason"])] += 1
            if seen[why] <= each:
                some.append(row)
        return cls(
            tuple((*why, n) for why, n in counts[:REASONS]),
            (len(rest), sum(rest)),
            tuple(some[:CARDS]),
        )
