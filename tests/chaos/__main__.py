"""Hurt runs for a while and see whether images get lost: `python -m tests.chaos --seconds 300`.

Exit code 1 if a promise was not kept; what is left of such runs stays in a folder that is named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.campaign import FAULTS, Record, campaign


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", nargs="+", choices=sorted(FAULTS), default=list(FAULTS))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    records = campaign(folder, given.seconds, given.seed, given.faults, tell)
    Console(width=130).print(table(records))
    violations = [line for record in records for line in record.violations]
    for line in violations:
        print(f"violation: {line}")
    if violations:
        print(f"what is left of these runs: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def table(records: list[Record]) -> Table:
    """A line for each fault, and one for all."""
    headings = "fault", "runs", "injected", "lost", "doubled", "equal", "slowest end"
    found = Table(*headings, box=None, pad_edge=False)
    for r in records:
        ok = "yes" if r.equal and r.runs else "no" if r.runs else "-"
        counts = (str(n) for n in (r.runs, r.injected, r.lost, r.doubled))
        found.add_row(r.fault.replace("_", " "), *counts, ok, f"{r.slowest:.1f} s")
    totals = (
        sum(getattr(r, name) for r in records) for name in ("runs", "injected", "lost", "doubled")
    )
    ok = "yes" if all(r.equal for r in records) else "no"
    slowest = max((r.slowest for r in records), default=0.0)
    found.add_row("all", *map(str, totals), ok, f"{slowest:.1f} s")
    return found


if __name__ == "__main__":
    sys.exit(main())
