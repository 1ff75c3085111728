"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import RequestError
from pipeline.export.coco import write_coco
from pipeline.export.destination import Destination
from pipeline.export.fiftyone import write_fiftyone
from pipeline.export.flat_csv import write_csv
from pipeline.export.hugging_face import write_hugging_face
from pipeline.export.pngs import write_pngs
from pipeline.export.selection import Selection

Advance = Callable[[], None]

FORMATS: dict[str, Callable[[Selection, Destination, Advance], None]] = {
    "coco": write_coco,
    "png": write_pngs,
    "hf": write_hugging_face,
    "csv": write_csv,
    "fiftyone": write_fiftyone,
}


def write_export(kind: str, selection: Selection, dest: str, advance: Advance) -> None:
    """Write the chosen masks into a new folder; RequestError for what cannot be done.

    advance  called after every image
    """
    if kind not in FORMATS:
        raise RequestError(f"--to {kind}: expected one of {', '.join(FORMATS)}")
    if not len(selection):
        raise RequestError(f"{selection.reader.store.uri}: there is no image to export")
    FORMATS[kind](selection, Destination(dest), advance)
