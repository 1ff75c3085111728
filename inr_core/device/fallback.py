"""What this process does more slowly than it could, and why: for whoever reports a run."""

from __future__ import annotations

import warnings

_noted: dict[str, None] = {}  # an ordered set


def fall_back(text: str) -> None:
    """Remember a sentence, and warn of it the first time."""
    if text not in _noted:
        _noted[text] = None
        warnings.warn(text, stacklevel=3)


def fallbacks() -> tuple[str, ...]:
    """All sentences until now, each once, in their order."""
    return tuple(_noted)
