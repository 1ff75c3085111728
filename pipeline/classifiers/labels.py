"""Class names from a file: for models that know none, or other ones."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from typing import Any

import fsspec

from pipeline.errors import RequestError, clean, describe

FORMS = (
    "one name a line, lines of INDEX,NAME, or JSON: a list of names, or an object of names by index"
    " (also as `id2label`)"
)


def read_labels(file: str) -> tuple[str, ...]:
    """The names in a text, CSV or JSON file, a path or URL, in the order of the class indices.

    RequestError where it cannot be read, or where an index or a name is missing or twice there.
    """
    try:
        with fsspec.open(file, "r", encoding="utf-8-sig") as stream:
            text = stream.read()
    except Exception as error:  # every store raises its own
        raise RequestError(f"--labels {file}: cannot be read: {describe(error)}") from error
    try:
        names = _json(text) if text.lstrip().startswith(("{", "[")) else _lines(text)
    except ValueError as error:
        raise RequestError(f"--labels {file}: {error}; expected {FORMS}") from error
    return tuple(clean(name.strip()) for name in names)


def check_labels(labels: Sequence[str], classes: int, spec: str) -> None:
    """RequestError where there are not as many names as classes."""
    if len(labels) != classes:
        raise RequestError(
            f"--labels: {len(labels)} names for the {classes} classes of {spec}; expected one name "
            "for each class, in the order of their indices"
        )


def _json(text: str) -> list[str]:
    found: Any = json.loads(text)  # its errors are ValueErrors that say where
    if isinstance(found, dict):
        found = found.get("id2label", found)
    if isinstance(found, dict):
        return _by_index([(str(key), name) for key, name in found.items()])
    return [_name(name, f"entry {n}") for n, name in enumerate(found)]


def _lines(text: str) -> list[str]:
    lines = text.rstrip().splitlines()
    numbered = [line for line in lines if re.match(r"\s*[0-9]+\s*,", line)]
    if numbered and len(numbered) >= len(lines) - 1:  # the first line may be a head
        rows = list(csv.reader(numbered))
        return _by_index([(row[0].strip(), ",".join(row[1:])) for row in rows])
    return [_name(line, f"line {n}") for n, line in enumerate(lines, 1)]


def _by_index(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    names: dict[int, str] = {}
    for key, name in pairs:
        if not key.isdecimal():
            raise ValueError(f"{key!r} is no class index")
        if int(key) in names:
            raise ValueError(f"class {key} has two names")
        names[int(key)] = _name(name, f"class {key}")
    if missing := [k for k in range(len(names)) if k not in names]:
        raise ValueError(f"class {missing[0]} has no name, class {max(names)} has")
    return [names[k] for k in range(len(names))]


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{where} is {name!r}, no name")
    return name
