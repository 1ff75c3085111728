"""Turns: calls that overlap do a part of their work one after the other, in a given order."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

Turn = AbstractContextManager[object]


class Turns:
    """Hands out turns; that of number n begins when all before it, from 0 on, have ended."""

    def __init__(self) -> None:
        self.ended = 0
        self.changed = threading.Condition()

    def of(self, number: int) -> OneTurn:
        """The turn of this number."""
        return OneTurn(self, number)


class OneTurn(AbstractContextManager[object]):
    """Entering waits for the turn, leaving ends it."""

    def __init__(self, turns: Turns, number: int) -> None:
        self.turns, self.number = turns, number

    def __enter__(self) -> None:
        with self.turns.changed:
            self.turns.changed.wait_for(lambda: self.turns.ended == self.number)

    def __exit__(self, *error: object) -> None:
        with self.turns.changed:
            self.turns.ended += 1
            self.turns.changed.notify_all()

    def pass_by(self) -> None:
        """Let the others go on if this turn was never taken."""
        if self.turns.ended <= self.number:
            with self:
                pass
