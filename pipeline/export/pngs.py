"""A folder of PNGs in the pixels of the originals, and a table of what is in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from pipeline.export.destination import Destination
from pipeline.export.selection import Selection
from pipeline.paths import all_redacted, file_name
from pipeline.tables import png

COLUMNS = (
    "file",
    "id",
    "image",
    "target",
    "target_name",
    "restart",
    "round",
    "area",
    "measured_area",
    "score_kept",
    "score_removed",
)


def write_pngs(selection: Selection, to: Destination, advance: Callable[[], None]) -> None:
    """8-bit grey PNGs, 255 = keep, and `index.csv` with a row for each."""
    sink = io.StringIO(newline="")
    index = csv.DictWriter(sink, COLUMNS, lineterminator="\n")
    index.writeheader()
    for one in selection:
        about = {name: one.row[name] for name in ("id", "image", "target", "target_name")}
        for mask in selection.masks(one):
            name = f"{file_name(one.id)}_target{one.row['target']}_{mask.name}.png"
            to.put(f"masks/{name}", png(mask.pixels()))
            index.writerow({"file": f"masks/{name}", **all_redacted(about), **mask.values()})
        advance()
    to.put("index.csv", sink.getvalue().encode("utf-8", "replace"))
