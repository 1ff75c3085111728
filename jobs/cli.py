"""Where `xaipipe` begins and ends: streams, exit codes, errors without tracebacks.

Imports nothing slow, so that signals are caught from the first moment.
"""

from __future__ import annotations

import os
import sys

from jobs.endings import ending, interrupts
from jobs.streams import protect, why_lost


def main() -> None:
    """Entry point of `xaipipe`."""
    interrupts.catch()
    sinks = protect()
    code = _code()
    sys.stdout.flush()
    if (reason := why_lost(sinks)) and code == 0:
        code = _complain(1, f"what was to be printed could not be written: {reason}")
    if code == 130 and sinks:
        os._exit(code)  # without waiting for threads, of which some may wait for a silent server
    sys.exit(code)


def _code() -> int:
    """Run the command line; returns the exit code."""
    try:
        from jobs.app import run_command

        return run_command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (Exception, KeyboardInterrupt) as error:
        code, message = ending(error)
        return _complain(code, message)


def _complain(code: int, message: str) -> int:
    if code == 130:
        print(message, file=sys.stderr)
    else:
        from jobs.console import Console

        Console(stderr=True).complain(message)
    return code
