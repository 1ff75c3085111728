"""A short campaign; and that one sees what it is there to see."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.run import Workers, driver
from pipeline.store import Store
from tests.chaos.arena import Arena, Ground, Outcome, rows_of
from tests.chaos.bend import Bend
from tests.chaos.campaign import Record
from tests.chaos.drivers import Driver, Violation
from tests.chaos.long_run import FILES, GROWTH, grown, long_run
from tests.puppets import Quick, SmallRequest, fails

ROOT = Path(__file__).parents[2]
SHORT = (
    "killed_at_a_storage_call",
    "table_files_deleted",
    "images_damaged",
    "s3_answers_lost",
    "stopped_and_taken_over",
)


@pytest.mark.slow
@pytest.mark.long
def test_a_short_campaign_loses_and_doubles_nothing() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "20", "--seed", "1", "--faults"]
    done = subprocess.run([*command, *SHORT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (counts,) = re.findall(r"^all +(\d+) +(\d+) +(\d+) +(\d+) +yes", done.stdout, re.MULTILINE)
    runs, injected, lost, doubled = map(int, counts)
    assert injected >= runs >= 1 and (lost, doubled) == (0, 0)


def explained(uri: str) -> str:
    """A run whose every third image fails, in shards of two."""
    workers = Workers(make=lambda name: Quick(), count=0, device="cpu")
    driver.run(SmallRequest(Store(uri), 6, shard_size=2), lambda progress: None, workers)
    return uri


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    server: Any = None
    whole = rows_of(explained(f"memory://{uuid.uuid4().hex}/out"))
    found = Arena(Ground(tmp_path, tmp_path / "manifest.csv", server, whole), "one", Random(0))
    explained(found.out)
    found.failed = frozenset(f"image-{n}" for n in range(6) if fails(f"image-{n}"))
    return found


def test_an_outcome_without_a_flaw(arena: Arena) -> None:
    assert Outcome.of(arena) == Outcome(lost=0, doubled=0, equal=True)


def test_a_lost_image_is_seen(arena: Arena) -> None:
    sorted(Path(arena.out, "images").glob("s-*"))[0].unlink()
    outcome = Outcome.of(arena)
    assert outcome.lost in (1, 2) and not outcome.equal


def test_an_image_that_should_not_have_failed_is_seen(arena: Arena) -> None:
    arena.failed = frozenset()
    assert Outcome.of(arena) == Outcome(lost=2, doubled=0, equal=False)


def test_a_doubled_image_is_seen(arena: Arena) -> None:
    marker = sorted(Path(arena.out, "_run/commits").iterdir())[0]
    content = json.loads(marker.read_text())
    again = f"s-{0:016x}"
    for table in content["bytes"]:
        name = f"{content['shard']}-000001.parquet"
        shutil.copy(Path(arena.out, table, name), Path(arena.out, table, f"{again}-000001.parquet"))
    (marker.parent / f"{again}-000001.json").write_text(json.dumps({**content, "shard": again}))
    outcome = Outcome.of(arena)
    assert outcome.doubled == 2 * len(content["explained"]) > 0 and not outcome.equal


def test_other_rows_are_seen(arena: Arena) -> None:
    arena.ground.undisturbed["masks"][0]["area"] = 0.7
    assert Outcome.of(arena) == Outcome(lost=0, doubled=0, equal=False)


def test_a_record_adds_up(arena: Arena) -> None:
    record = Record("fault")
    arena.injected = 3
    record.add(arena, Outcome(0, 0, True), "")
    assert (record.runs, record.injected, record.equal, record.violations) == (1, 3, True, [])
    record.add(arena, Outcome(1, 2, False), "")
    assert (record.lost, record.doubled, record.equal) == (1, 2, False)
    record.add(arena, None, "it hangs")
    assert (record.runs, record.injected, len(record.violations)) == (3, 9, 2)


def test_a_driver_that_hangs_or_prints_a_traceback_breaks_its_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = Driver(["--version"], tmp_path / "hangs", Bend(), whole=True)
    with pytest.raises(Violation, match="hangs"):
        hangs.wait(0.0)
    (tmp_path / "log").write_text("Traceback (most recent call last)")
    says = Driver(["--version"], tmp_path / "log", Bend(), whole=True)
    with pytest.raises(Violation, match="traceback"):
        says.wait()


@pytest.mark.slow
@pytest.mark.long
def test_memory_and_open_files_of_a_long_run_are_flat() -> None:
    samples, _ = long_run(images=4000, shard_size=20, workers=0)
    memory, files = grown(samples)
    assert memory <= GROWTH and files <= FILES
