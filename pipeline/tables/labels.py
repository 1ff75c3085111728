"""The class names that a run was given, kept with it: their file may be gone later."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.store import RUN, Store

LABELS = f"{RUN.home}/labels.json"


def labels_file(labels: Sequence[str]) -> dict[str, bytes]:
    """The names as they lie in the output of a run, by the file's name."""
    return {LABELS: json.dumps(list(labels)).encode()}


def stored_labels(store: Store) -> tuple[str, ...]:
    """The names of a run that was given some."""
    return tuple(json.loads(store.get(LABELS)))
