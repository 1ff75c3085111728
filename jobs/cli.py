"""Where `xaipipe` begins and ends: signals, streams, exit codes, errors without tracebacks.

Imports nothing slow, so that signals are caught from the first moment.

Exit codes: 0 everything explained; 2 the request is wrong (nothing was started); 3 finished, but
failures stand; 1 stopped by an error; 130 interrupted (the same command resumes).
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

from jobs.streams import protect, why_lost

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05  # until an interrupt that Python could not raise is raised again


class Interrupts:
    """Signals that end a run like Ctrl-C: what was committed stays.

    seen  whether there was one
    """

    def __init__(self) -> None:
        self.seen = False

    def catch(self) -> None:
        """Until the process ends; what it was told to ignore (nohup) stays ignored."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        if sys.unraisablehook is sys.__unraisablehook__:  # not where tests have their own
            signal.signal(signal.SIGALRM, self._interrupt)
            sys.unraisablehook = self._not_raised

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.seen and number in (signal.SIGTERM, signal.SIGHUP):
            return  # it is ending already; a terminal that closes sends several
        self.seen = True
        raise KeyboardInterrupt

    def _not_raised(self, found: Any) -> None:
        """An interrupt within a callback of Python's own (of imports, say) would be lost."""
        if issubclass(found.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            sys.__unraisablehook__(found)


def main() -> None:
    """Entry point of `xaipipe`."""
    interrupts = Interrupts()
    interrupts.catch()
    sinks = protect()
    code = _code_of(interrupts)
    sys.stdout.flush()
    if (reason := why_lost(sinks)) and code == 0:
        code = _complain(1, f"what was to be printed could not be written: {reason}")
    if code == 130 and sinks:
        os._exit(code)  # without waiting for threads, of which some may wait for a silent server
    sys.exit(code)


def _code_of(interrupts: Interrupts) -> int:
    """Run the command line; returns the exit code."""
    try:
        from jobs.app import run_command

        return run_command()
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _interrupted() if interrupts.seen else _stopped(error)


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return 130


def _stopped(error: Exception) -> int:
    from pipeline.errors import RequestError, RunError, describe

    if isinstance(error, RequestError):
        return _complain(2, str(error))
    if isinstance(error, RunError):
        resumes = "What was committed stays; the same command goes on from there."
        return _complain(1, f"{error}\n{resumes}")
    from jobs.crash import write_traceback
    from pipeline.tables import damaged_table

    if found := damaged_table(error):
        return _complain(1, found)
    return _complain(
        1, f"{describe(error)}; this is a mistake of xaipipe's: {write_traceback(error)}"
    )


def _complain(code: int, message: str) -> int:
    from jobs.console import Console

    Console(stderr=True).complain(message)
    return code
