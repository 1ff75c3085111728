"""Where two fingerprints of a run differ."""

from __future__ import annotations

import json
from typing import Any


def differing(one: Any, other: Any) -> list[tuple[str, str, str]]:
    """(dotted name, value of one, value of the other) of leaves that differ.

    "nothing" for none, which null is as well: a setting that came later says nothing of what was.
    """
    ours, theirs = _flat(one), _flat(other)
    return [
        (name, ours.get(name, "nothing"), theirs.get(name, "nothing"))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def _flat(content: Any, path: str = "") -> dict[str, str]:
    """Leaves of nested mappings by dotted path, as JSON."""
    if not isinstance(content, dict) or not content:
        return {} if content is None else {path: json.dumps(content)}
    leaves: dict[str, str] = {}
    for key, value in content.items():
        leaves |= _flat(value, f"{path}.{key}" if path else key)
    return leaves
