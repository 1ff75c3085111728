"""Options that several commands share: what Typer sees of a command that is wrapped."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def parameters(command: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those of a command, wrapped or not."""
    return list(inspect.signature(command).parameters.values())


def takes(wrapped: Callable[..., None], shown: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """The wrapped command, with these parameters, all by name, as Typer is to see them."""
    names = inspect.unwrap(wrapped).__globals__
    kind = inspect.Parameter.KEYWORD_ONLY
    keyword = [one.replace(kind=kind, annotation=_meant(one.annotation, names)) for one in shown]
    wrapped.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in keyword}
    return wrapped


def _meant(annotation: Any, names: dict[str, Any]) -> Any:
    """Typer does not look into the texts of a signature that was put together."""
    return eval(annotation, names) if isinstance(annotation, str) else annotation
