"""Real processes: a driver is stopped, another machine's takes over and ends, the first wakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.run import Workers, driver
from pipeline.store import RunFolder, RunLock, Store
from pipeline.store import lock as lock_module
from tests.puppets import Quick, SmallRequest, fails
from tests.variants import variants

ROOT = Path(__file__).parents[3]
IMAGES, STALE_S, PATIENCE_S = 24, 2.0, 60.0


def start(uri: str, place: str, size: int, pause: float) -> subprocess.Popen[str]:
    """A driver that explains shards of `size`, each in `pause` seconds."""
    return subprocess.Popen(
        [sys.executable, __file__, uri, place, str(size), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def drive(uri: str, place: str, size: int, pause: float) -> None:
    RunLock.__init__.__kwdefaults__.update(heartbeat_s=0.1, stale_s=STALE_S)
    lock_module.place = lambda: place  # type: ignore[assignment]

    class Slow(Quick):
        def __call__(self, shard, turn=None):  # type: ignore[no-untyped-def]
            time.sleep(pause)
            return super().__call__(shard, turn)

    request = SmallRequest(Store(uri), IMAGES, shard_size=size)
    workers = Workers(make=lambda name: Slow(), count=0, device="cpu")
    try:
        driver.run(request, lambda progress: None, workers)
        print("finished")
    except Exception as error:
        print(error)


def wait_for_commits(uri: str, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(Store(uri).list("_run/commits")) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("commits", variants([4, 0]))
def test_a_driver_that_is_stopped_and_wakes_late_changes_nothing(
    tmp_path: Path, commits: int
) -> None:
    uri = str(tmp_path / "out")
    first = start(uri, "here", 2, 0.3)
    try:
        wait_for_commits(uri, commits)
        while RunLock.holder(Store(uri)) is None:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGSTOP)
        second = start(uri, "elsewhere", 3, 0.0)
        assert second.communicate(timeout=PATIENCE_S)[0] == "finished\n"
        before = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*.parquet"))}
        os.kill(first.pid, signal.SIGCONT)
        said = first.communicate(timeout=PATIENCE_S)[0]
        # Half-written files are swept, so one stopped while it writes one finds that gone.
        assert "taken over by process" in said or "FileNotFoundError" in said, said
    finally:
        first.kill()
        first.communicate()
    ids = [f"image-{n}" for n in range(IMAGES)]
    commits_ = list(RunFolder(Store(uri)).commits())
    assert sorted(i for c in commits_ for i in c.explained) == sorted(
        i for i in ids if not fails(i)
    )
    assert sorted(i for c in commits_ for i in c.failed) == sorted(i for i in ids if fails(i))
    assert before == {file: file.read_bytes() for file in sorted(tmp_path.rglob("*.parquet"))}


if __name__ == "__main__":
    drive(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
