"""One flat CSV: the joined tables without pictures and networks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from pipeline.export.destination import Destination
from pipeline.export.selection import Selection
from pipeline.paths import all_redacted
from pipeline.tables import ExplainedImage

OF_EXPLANATION = ("best", "objective", "steps", "minimal_area")
OF_MASK = ("restart", "round", "area", "measured_area", "score_kept", "score_removed")
OF_CONTRAST = ("contrast_kept", "contrast_removed")  # where classes are held against others


def write_csv(selection: Selection, to: Destination, advance: Callable[[], None]) -> None:
    """`masks.csv`: a row for every stored mask of all restarts and rounds, with its image's row.

    Structures become columns such as `crop_x0`, lists become JSON; what is null is empty.
    """
    with to.file("masks.csv") as stream:
        text = io.TextIOWrapper(stream, "utf-8", errors="replace", newline="", write_through=True)
        writer: Any = None
        for one in selection:
            for row in _rows(one, selection):
                if writer is None:
                    writer = csv.DictWriter(text, list(row), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(row)
            advance()
        text.detach()


def _rows(one: ExplainedImage, selection: Selection) -> list[dict[str, Any]]:
    image = _flat(all_redacted(one.row))
    found = []
    for mask in one.masks:
        if selection.areas is None or mask["area"] in selection.areas:
            explanation = one.best(mask["round"], mask["restart"])
            scores = {n: mask[n] for n in (*OF_MASK, *OF_CONTRAST) if n in mask}
            own = scores | {n: explanation[n] for n in OF_EXPLANATION}
            found.append({**image, **own})
    return found


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        else:
            flat[name] = json.dumps(value) if isinstance(value, list) else value
    return flat
