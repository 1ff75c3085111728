"""JSON objects in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.errors import RunError
from pipeline.paths import all_redacted
from pipeline.store.store import Store


def encode(content: Mapping[str, Any]) -> bytes:
    """The object without the secrets of URLs in it."""
    return json.dumps(all_redacted(content), sort_keys=True).encode()


def decode(store: Store, name: str, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise damaged(store, name, str(error)) from error
    if not isinstance(content, dict):
        raise damaged(store, name, f"found a {type(content).__name__}")
    return content


def damaged(store: Store, name: str, found: str) -> RunError:
    return RunError(
        f"{store.uri}: {name} is damaged ({found}); expected a JSON object. "
        "Delete it and run again: what it recorded is done anew"
    )
