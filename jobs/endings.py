"""How commands end: signals, and exit codes with a sentence for every error.

Exit codes: 0 everything explained; 2 the request is wrong (nothing was started); 3 finished, but
failures stand; 1 stopped by an error; 130 interrupted (the same command resumes).

Imports nothing slow, so that signals are caught from the first moment.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.05  # until an interrupt that could not be raised is raised again
PATIENCE_S = 5.0  # with an import that goes on
IMPORTING = "<frozen importlib._bootstrap>"  # where frames of all imports are


class Interrupts:
    """Signals that end a run like Ctrl-C: what was committed stays.

    One that comes while something is imported waits for its end: libraries let an import fail
    and go on without it, whatever was raised, and some are killed by it. The next one does not
    wait.

    seen  whether there was one; since: when
    """

    def __init__(self) -> None:
        self.seen, self.since = False, 0.0

    def catch(self) -> None:
        """Until the process ends; what it was told to ignore (nohup) stays ignored."""
        self.seen = False
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        if sys.unraisablehook is sys.__unraisablehook__:  # not where tests have their own
            signal.signal(signal.SIGALRM, self._interrupt)
            sys.unraisablehook = self._not_raised

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.seen and number in (signal.SIGTERM, signal.SIGHUP):
            return  # it is ending already; a terminal that closes sends several
        first = not self.seen
        if first:
            self.seen, self.since = True, time.monotonic()
        if (first or number == signal.SIGALRM) and self._waits(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
            return
        raise KeyboardInterrupt

    def _waits(self, frame: FrameType | None) -> bool:
        """Whether an import is going on, and has not for too long."""
        if signal.getsignal(signal.SIGALRM) != self._interrupt:
            return False  # nothing would raise it again
        while frame is not None and frame.f_code.co_filename != IMPORTING:
            frame = frame.f_back
        return frame is not None and time.monotonic() - self.since < PATIENCE_S

    def _not_raised(self, found: Any) -> None:
        """An interrupt within a callback of Python's own (of imports, say) would be lost."""
        if issubclass(found.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            sys.__unraisablehook__(found)


interrupts = Interrupts()  # of this process


def ending(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence for what a command has raised."""
    from pipeline.errors import RequestError, RunError, describe

    if isinstance(error, KeyboardInterrupt) or interrupts.seen:
        return 130, "interrupted"
    if isinstance(error, RequestError):
        return 2, str(error)
    if isinstance(error, RunError):
        resumes = "What was committed stays; the same command goes on from there."
        return 1, f"{error}\n{resumes}"
    from jobs.crash import write_traceback
    from pipeline.tables import damaged_table

    assert isinstance(error, Exception)
    if found := damaged_table(error):
        return 1, found
    return 1, f"{describe(error)}; this is a mistake of xaipipe's: {write_traceback(error)}"
