"""A store in memory that is far away: it answers late, lists in any order, and is asked twice.

Clients of object stores repeat a request whose answer was lost; so does this one with every third,
except when it creates a file, which the server decides about once.
"""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

from fsspec.implementations.memory import MemoryFileSystem

LATENCY_S = 0.002


class SlowFileSystem(MemoryFileSystem):
    """For `slow://` URLs."""

    protocol = "slow"
    root_marker = "/"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    requests: ClassVar[int] = 0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, str) and path.startswith("slow://"):
            path = path.replace("slow://", "memory://", 1)
        return super()._strip_protocol(path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:
        if self._is_repeated() and mode != "create":
            super().pipe_file(path, value, mode=mode, **more)
        super().pipe_file(path, value, mode=mode, **more)

    def cat_file(self, path: str, *given: Any, **more: Any) -> Any:
        if self._is_repeated():
            super().cat_file(path, *given, **more)
        return super().cat_file(path, *given, **more)

    def rm_file(self, path: str) -> None:
        if self._is_repeated():
            super().rm_file(path)
        super().rm_file(path)

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        self._is_repeated()
        found = list(super().ls(path, detail=detail, **more))
        random.shuffle(found)
        return found

    def _is_repeated(self) -> bool:
        time.sleep(random.uniform(0, LATENCY_S))
        SlowFileSystem.requests += 1
        return SlowFileSystem.requests % 3 == 0
