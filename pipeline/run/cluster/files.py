"""Files that all workers read: through Ray's object store, once for each node.

Else every worker would read a classifier's weights from the bucket for itself, or not find them on
its node.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import fsspec
import numpy as np
import ray

from pipeline.errors import RequestError, describe

FOLDER = "memory://xaipipe-files"


def share(uris: Sequence[str]) -> Any:
    """Read files and put them into the object store; a reference to URI -> bytes.

    As arrays: the workers of a node have them in shared memory.
    """
    return ray.put({uri: np.frombuffer(_read(uri), np.uint8) for uri in uris})


@contextmanager
def held(files: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Where this process finds the files meanwhile: URI -> `memory://` URL of the same name."""
    memory = fsspec.filesystem("memory")
    places = {}
    for number, (uri, data) in enumerate(files.items()):
        name = posixpath.basename(uri.partition("?")[0])
        places[uri] = f"{FOLDER}/{number}/{name}"
        memory.pipe_file(places[uri], data.tobytes())
    try:
        yield places
    finally:
        for place in places.values():
            memory.rm_file(place)


def _read(uri: str) -> bytes:
    try:
        with fsspec.open(uri, "rb") as stream:
            return bytes(stream.read())
    except Exception as error:  # every store raises its own
        raise RequestError(f"{uri}: cannot be read: {describe(error)}") from error
