"""Figures and names as text of the page."""

from __future__ import annotations

import re

DASH = "\N{EN DASH}"  # stands for a figure that there is none of
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # not allowed in HTML


def percent(share: float | None, digits: int | None = None) -> str:
    """A share as `5 %`, all its digits or so many behind the point; never broken over lines."""
    if share is None:
        return DASH
    number = f"{100 * share:g}" if digits is None else f"{100 * share:.{digits}f}"
    return f"{number}\N{NO-BREAK SPACE}%"


def figure(value: float | None, sign: str = "") -> str:
    """Two digits behind the point; with `+` as sign always with one."""
    return DASH if value is None or value != value else f"{value:{sign}.2f}"


def printable(text: str) -> str:
    """Text without the characters that no HTML may hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
