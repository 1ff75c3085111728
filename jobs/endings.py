"""How commands end: signals, and exit codes with a sentence for every error.

Exit codes: 0 everything explained; 2 the request is wrong (nothing was started); 3 finished, but
failures stand; 1 stopped by an error; 130 interrupted (the same command resumes).

Imports nothing slow, so that signals are caught from the first moment.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

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
        self.seen = True
        raise KeyboardInterrupt

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
