"""Drivers of a run: processes that are started, hurt and waited for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.bend import Bend

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0  # a driver that is still there after it hangs: all may take minutes, not more
SAYS_WHY = {0, 1, 2, 3, 130}  # exit codes of the command line


class Violation(AssertionError):
    """A promise that was not kept."""


def prepare() -> None:
    """Have the process ready that drivers are forked from."""
    multiprocessing.set_forkserver_preload(["tests.chaos.child"])


class Driver:
    """One `xaipipe` command line.

    whole  as a process of its own from the start, Python's included; else a fork that begins there
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        bend: Bend,
        whole: bool,
    ) -> None:
        self.log, self.started, self.seconds = log, time.monotonic(), 0.0
        self.killed = bool(bend.kill_at)  # by us, or about to be
        self._process: Any
        if whole:
            assert bend == Bend(), "only forks can be bent"
            command = [sys.executable, "-m", "jobs", *arguments]
            with log.open("ab") as file:
                self._process = subprocess.Popen(
                    command,
                    stdout=file,
                    stderr=file,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
        else:
            from tests.chaos.child import drive

            given = (tuple(arguments), bend, str(log))
            self._process = multiprocessing.get_context("forkserver").Process(
                target=drive, args=given
            )
            self._process.start()
        self.pid: int = self._process.pid

    def send(self, number: signal.Signals) -> bool:
        """Send it a signal; False if it has ended already."""
        if self.code is not None:
            return False
        self.killed |= number == signal.SIGKILL
        os.kill(self.pid, number)
        return True

    @property
    def code(self) -> int | None:
        """Its exit code, -9 for SIGKILL; None while it lives."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll()
        return self._process.exitcode

    def wait(self, patience: float = PATIENCE_S) -> int:
        """Its exit code, once it has one; Violation if it hangs, crashes or prints a traceback."""
        deadline = time.monotonic() + patience
        while self.code is None:
            if time.monotonic() > deadline:
                self.end()
                raise Violation(f"hangs for {patience:.0f} s: {self.said()[-300:]}")
            time.sleep(0.02)
        self.seconds = time.monotonic() - self.started
        code = self.code
        if code not in SAYS_WHY and not (self.killed and code == -signal.SIGKILL):
            raise Violation(f"ended with {code}: {self.said()[-300:]}")
        if "Traceback" in self.said():
            raise Violation(f"printed a traceback: {self.said()[-600:]}")
        return code

    def end(self) -> None:
        """End it, whatever it is at."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
        if isinstance(self._process, subprocess.Popen):
            self._process.wait()
        else:
            self._process.join()

    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
