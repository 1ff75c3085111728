"""Ends Ray's processes after a driver that was killed: some of them outlive it by a minute.

Runs as a process of its own, on Linux; elsewhere Ray's processes end when they notice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK_S, GRACE_S = 1.0, 3.0  # between looks at the driver; for processes to end by themselves


@contextmanager
def reaper() -> Iterator[None]:
    """Whatever this process has started until now ends soon after it, if it is killed meanwhile."""
    if not hasattr(os, "pidfd_open"):
        yield
        return
    command = [sys.executable, "-S", __file__, str(os.getpid()), *map(str, _offspring(os.getpid()))]
    null = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=null, stdout=null, stderr=null, start_new_session=True
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _offspring(root: int) -> set[int]:
    """Processes that a process has started, and those that they have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone this moment
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {root}


def reap(driver: int, pids: list[int]) -> None:
    """Wait for the driver to be gone, then end these processes."""
    handles = []
    for pid in pids:
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))  # means this process for ever, unlike its number
    while os.getppid() == driver:
        time.sleep(LOOK_S)
    time.sleep(GRACE_S)
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)


if __name__ == "__main__":
    reap(int(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
