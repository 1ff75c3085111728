"""The problems of a manifest, gathered so that one error names many."""

from __future__ import annotations

from pipeline.errors import RequestError


class Problems:
    """Collects what is wrong with a manifest; keeps the first `MOST` to be shown."""

    MOST = 10

    def __init__(self, uri: str) -> None:
        self.unit = "line"
        self._uri = uri
        self._shown: list[tuple[int, str]] = []
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count >= self.MOST

    def add(self, number: int, text: str) -> None:
        if not self.full:
            self._shown.append((number, text))
        self._count += 1

    def raise_any(self) -> None:
        if not self._count:
            return
        lines = [f"{self.unit} {number}: {text}" for number, text in self._shown]
        if self._count > len(lines):
            lines.append(f"and {self._count - len(lines)} more")
        text = f" {lines[0]}" if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
        raise RequestError(f"{self._uri}:{text}")
