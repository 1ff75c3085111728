"""Where a kind of work keeps its things in the output of a run."""

from __future__ import annotations

from dataclasses import dataclass

RUN_HOME = "_run"
TABLES = ("images", "explanations", "masks", "failures")
DERIVED = (  # folders of what is made of a run's tables
    "metrics",
    "metrics_baselines",
    "metrics_judge",
    "metrics_copy",
    "metrics_repeats",
    "regions",
    "context",
    "patterns",
    "diff",
    "certificates",
    "reviews",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one kind of work; all in the output of one run.

    home    of its fingerprint, plans, markers, leases, locks and summary
    tables  of its tables; of a shard's files that of the first one is written last
    thing, holder, remedy, expected  for messages: what it is, who has a setting, what to do about
            another one, and what may be in its place before it is
    """

    home: str
    tables: tuple[str, ...]
    thing: str = "a run"
    holder: str = "the run has"
    remedy: str = "name another --out, or discard that run with --overwrite"
    expected: str = "a new or empty folder or a run: name another --out"

    @property
    def fingerprint(self) -> str:
        """File of what it was started with."""
        return f"{self.home}/fingerprint.json"

    @property
    def summary(self) -> str:
        """File of how it ended."""
        return f"{self.home}/summary.json"

    @property
    def plans(self) -> str:
        """Folder of its plans."""
        return f"{self.home}/plans"

    @property
    def commits(self) -> str:
        """Folder of its markers."""
        return f"{self.home}/commits"

    @property
    def leases(self) -> str:
        """Folder of its leases."""
        return f"{self.home}/leases"

    @property
    def lock(self) -> str:
        """Folder of its lock."""
        return f"{self.home}/lock"

    @property
    def temporary(self) -> str:
        """Folder of files that are being written."""
        return f"{self.home}/tmp"

    @property
    def failures(self) -> str:
        """Folder of the table of what failed."""
        return self.tables[-1]


RUN = Layout(RUN_HOME, TABLES)


def derived(name: str, *more: str) -> Layout:
    """Of an analysis whose (first) table is `name`; its failures lie apart from the run's."""
    home = f"{RUN_HOME}/{name}"
    return Layout(
        home,
        (name, *more, f"{home}/failures"),
        thing=f"the table {name}",
        holder="it was made with",
        remedy="ask for the same again, or have the table made anew with --overwrite",
        expected="nothing but what its command has written there: move it elsewhere",
    )
