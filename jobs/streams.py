"""stdout and stderr that end no run: who reads them may go away, and disks may be full."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

UNREAD = (errno.EPIPE, errno.EIO, errno.EBADF)  # nobody reads any more: a pipe, a terminal
INSTEAD = {"·": "-", "…": "...", "–": "-", "×": "x"}  # of what a locale does not have


class Sink(io.RawIOBase):
    """A file descriptor; `lost` is why nothing can be written to it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lost: OSError | None = None

    def write(self, data: Any) -> int:
        """What cannot be written is gone."""
        while self.lost is None:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:  # a pipe that its other end has set so
                select.select([], [self.descriptor], [])
            except OSError as error:
                self.lost = error
        return len(data)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self.descriptor)


def protect() -> list[Sink]:
    """Put sinks under the process's own streams; others, those of tests, stay as they are."""
    codecs.register_error("xaipipe", _instead)
    _open_closed()
    sinks = []
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or stream is getattr(sys, f"__{name}__"):
            sinks.append(Sink(descriptor))
            setattr(sys, name, _text(sinks[-1], getattr(stream, "encoding", "utf-8")))
        else:
            stream.reconfigure(errors="xaipipe")
    return sinks


def why_lost(sinks: list[Sink]) -> str | None:
    """What has kept a stream from being written, where somebody would have read it."""
    for sink in sinks:
        if sink.lost is not None and sink.lost.errno not in UNREAD:
            return sink.lost.strerror
    return None


def _text(sink: Sink, encoding: str) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(sink)
    return io.TextIOWrapper(buffer, encoding, "xaipipe", line_buffering=True)


def _open_closed() -> None:
    """A file that is opened later must not become the stream that was closed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one


def _instead(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    plain = (INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(plain), error.end
