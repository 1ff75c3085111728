"""HTML by construction: text is escaped when it enters an element, so that none is forgotten."""

from __future__ import annotations

import html
import re

VOID = ("meta", "img", "link")  # elements without content
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # not allowed in HTML


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """One element; children that are no Markup are escaped, and so are all attributes.

    attributes  `class_` is `class`, `view_box` stays as SVG wants it: underscores become hyphens
                except there; None leaves one out
    """
    given = "".join(
        f' {_attribute(key)}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{''.join(escape(child) for child in children)}</{name}>")


def escape(value: str | float) -> Markup:
    """Any value as HTML; Markup stays."""
    if isinstance(value, Markup):
        return value
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return Markup(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)))


def percent(share: float, digits: int | None = None) -> str:
    """A share as `5 %`, all its digits or so many behind the point; never broken over lines."""
    number = f"{100 * share:g}" if digits is None else f"{100 * share:.{digits}f}"
    return f"{number}\N{NO-BREAK SPACE}%"


def join(*children: str) -> Markup:
    """Several pieces one after the other."""
    return Markup("".join(escape(child) for child in children))


def _attribute(name: str) -> str:
    if name == "view_box":
        return "viewBox"
    return name.rstrip("_").replace("_", "-")
