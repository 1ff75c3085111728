"""The one way in which commands print. No text can fool it: what is printed is what it says."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

import rich.console
from rich.status import Status
from rich.text import Text

from pipeline.paths import redacted

LOG: ContextVar[Any] = ContextVar("LOG", default=None)  # a `jobs.log.JsonLog` that is written to
LOGGED_WIDTH = 200  # of tables in a log
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Console(rich.console.Console):
    """Prints texts as they are: no markup, no codes for colours or emoji, no secrets of URLs.

    Lines are never broken; those of tables are, to fit.
    """

    def __init__(self, **options: Any) -> None:
        self.json_log = LOG.get()
        if self.json_log is not None:
            options |= {"force_terminal": False, "width": LOGGED_WIDTH}
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Texts, tables."""
        if all(isinstance(one, str) for one in objects):
            options.setdefault("soft_wrap", True)
        if self.json_log is None:
            super().print(*objects, **options)
            return
        with self.capture() as printed:
            super().print(*objects, **options)
        self.json_log.line("message", text=printed.get().rstrip("\n"))

    def render_str(self, text: str, **options: Any) -> Text:
        """A text, also one in a table."""
        return super().render_str(plain(text), **options)

    def status(self, status: Any, **options: Any) -> Status:
        """What is being done, on a terminal."""
        return super().status(Text(plain(status)), **options)

    def complain(self, message: str) -> None:
        """An error."""
        self.print(Text("error: ", "bold red"), end="")
        self.print(message)

    @property
    def spinner(self) -> str:
        """Name of one that the terminal can show."""
        return "line" if self.options.ascii_only else "dots"


def plain(text: str) -> str:
    """Without the secrets of URLs; control characters spelt out, as they could move the cursor."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], redacted(text))
