"""Many variants of one test: a few with every change, the others with the whole suite."""

from collections.abc import Iterable
from typing import Any

import pytest


def variants(cases: Iterable[Any], always: int = 1, several: bool = False) -> list[Any]:
    """For `parametrize`: the first cases as they are, the others marked `long`.

    several  whether a case holds values for several arguments
    """
    return [
        pytest.param(*(case if several else (case,)), marks=[pytest.mark.long] * (n >= always))
        for n, case in enumerate(cases)
    ]
