"""The JSON schema of the job file, from which editors complete and check it (draft 7)."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from inr_core import METHODS, PRESETS
from pipeline.job.job import Job, job_keys

DRAFT = "http://json-schema.org/draft-07/schema#"
LINE = re.compile(r"^(\w+) +(\S.*)$")  # of a docstring: a field's name and what it is
DROPPED = ("title", "ge")  # of no use to editors


def job_schema(descriptions: Mapping[str, str]) -> dict[str, Any]:
    """The schema; each method has settings of its own.

    descriptions  of the keys that all jobs have, by name; those of methods are their docstrings'
    """
    own = _cleaned(Job.model_json_schema())["properties"]
    del own["config"]
    own["method"]["enum"], own["preset"]["enum"] = list(METHODS), list(PRESETS)
    definitions = {name: {"description": descriptions[name], **own[name]} for name in own}
    for method in METHODS:
        definitions[f"method-{method}"] = _job_with(method)
    return {
        "$schema": DRAFT,
        "title": "Job file of xaipipe",
        "type": "object",
        "definitions": definitions,
        **_branches([name for name in METHODS if name != "inr"]),
    }


def _branches(methods: list[str]) -> dict[str, Any]:
    """If it is this method, its keys, else the other ones'; without a method, those of inr."""
    if not methods:
        return _ref("method-inr")
    first, *others = methods
    named = {"properties": {"method": {"const": first}}, "required": ["method"]}
    return {"if": named, "then": _ref(f"method-{first}"), "else": _branches(others)}


def _job_with(method: str) -> dict[str, Any]:
    """A job of one method: nothing but its keys."""
    keys = {name: _ref(name) for name in job_keys(method)}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**keys, **_section(METHODS[method].config)},
    }


def _section(config: type[Any]) -> dict[str, Any]:
    """The settings of a configuration, sections within it written out."""
    whole = _cleaned(TypeAdapter(config).json_schema())
    said = dict(_described(config))
    found = {}
    for field in dataclasses.fields(config):
        inner = _default(field)
        if dataclasses.is_dataclass(inner):
            first = (inspect.getdoc(type(inner)) or "").splitlines()[0]
            found[field.name] = {
                "description": said.get(field.name, first),
                "type": "object",
                "additionalProperties": False,
                "properties": _section(type(inner)),
            }
        else:
            about = said.get(field.name) or _mentioned(field.name, said)
            found[field.name] = {"description": about, **whole["properties"][field.name]}
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _described(config: type[Any]) -> Iterator[tuple[str, str]]:
    """Field -> its lines in the docstrings of a class and of those that it builds upon."""
    for owner in reversed(config.__mro__):
        name, indent = None, 0
        texts: dict[str, str] = {}
        for line in (inspect.getdoc(owner) or "").splitlines():
            text = line.strip()
            if name is not None and text and len(line) - len(text) >= indent > 0:
                texts[name] += f" {text}"
            elif (found := LINE.match(line)) and found[1] in _fields(owner):
                name, indent = found[1], found.start(2)
                texts[name] = found[2]
            else:
                name = None
        yield from texts.items()


def _fields(owner: type[Any]) -> list[str]:
    known = dataclasses.is_dataclass(owner)
    return [field.name for field in dataclasses.fields(owner)] if known else []


def _mentioned(name: str, said: Mapping[str, str]) -> str:
    """Some settings are told of in the line of another one."""
    return next((text for text in said.values() if f"`{name}`" in text), "")


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}


def _cleaned(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: {name: _cleaned(one) for name, one in value.items()}
            if key == "properties"
            else _cleaned(value)
            for key, value in schema.items()
            if key not in DROPPED
        }
    return [_cleaned(one) for one in schema] if isinstance(schema, list) else schema
