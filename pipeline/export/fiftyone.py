"""A FiftyOne dataset on disk: images, classifications, and masks as heatmaps.

The JSON form of `fiftyone.types.FiftyOneDataset` (without a `version` in `metadata.json`, which
would bind it to one release): fields are declared by what the samples hold.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from pipeline.export.destination import Destination
from pipeline.export.selection import Selection
from pipeline.members import name_in
from pipeline.paths import all_redacted, file_name
from pipeline.tables import ExplainedImage, png

OWN = (  # of `images`, written as fields of other names or not at all
    "id",
    "image",
    "target",
    "target_name",
    "score",
    "predicted",
    "predicted_name",
    "predicted_score",
    "width",
    "height",
    "crop",
)
RESERVED = ("id", "filepath", "tags", "metadata", "media_type", "created_at", "last_modified_at")


def write_fiftyone(selection: Selection, to: Destination, advance: Callable[[], None]) -> None:
    """`metadata.json`, `samples.json`, images in `data/`, masks in the images' pixels in `fields/`.

    `fiftyone.Dataset.from_dir(FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)` reads it.
    """
    with to.file("samples.json") as stream:
        start = b'{"samples": [\n'
        for one in selection:
            stream.write(start + json.dumps(all_redacted(_sample(one, selection, to))).encode())
            start = b",\n"
            advance()
        stream.write(b"\n]}\n")
    about = {
        name: selection.reader.fingerprint[name] for name in ("model", "method", "weights", "seed")
    }
    metadata = {"media_type": "image", "info": {"xaipipe": about}}
    to.put("metadata.json", json.dumps(all_redacted(metadata), indent=1).encode())


def _sample(one: ExplainedImage, selection: Selection, to: Destination) -> dict[str, Any]:
    row = one.row
    name = f"{file_name(one.id)}_target{row['target']}"
    image = PurePosixPath(name_in(str(row["image"])))
    data = selection.originals.data(row)
    path = f"data/{name}{image.suffix.lower()}"
    to.put(path, data)
    return {
        "filepath": path,
        "tags": [] if row["predicted"] == row["target"] else ["mistake"],
        "metadata": {
            "_cls": "ImageMetadata",
            "size_bytes": len(data),
            "mime_type": mimetypes.guess_type(image.name)[0],
            "width": row["width"],
            "height": row["height"],
            "num_channels": 3,
        },
        "_media_type": "image",
        "xaipipe_id": one.id,
        "target": _class(row["target_name"], row["score"]),
        "predicted": _class(row["predicted_name"], row["predicted_score"]),
        "minimal_area": one.best()["minimal_area"],
        **_further(row),
        **_masks(one, selection, to, name),
    }


def _masks(one: ExplainedImage, selection: Selection, to: Destination, name: str) -> dict[str, Any]:
    """Fields `round_0`, `round_1`, ...; with chosen areas `round_0_area_05`."""
    fields = {}
    for mask in selection.masks(one):
        field = f"round_{mask.row['round']}"
        if selection.areas is not None:
            digits = f"{mask.row['area']:g}".partition(".")[2]
            field += f"_area_{digits.ljust(2, '0')}"
        path = f"fields/{field}/{name}.png"
        to.put(path, png(mask.pixels()))
        label = {"_cls": "Heatmap", "tags": [], "map_path": path, "range": [0, 255]}
        fields[field] = {**label, **mask.values()}
    return fields


def _class(name: str, score: float) -> dict[str, Any]:
    return {"_cls": "Classification", "tags": [], "label": name, "confidence": score}


def _further(row: dict[str, Any]) -> dict[str, Any]:
    """The manifest's columns that are plain values."""
    found = {}
    for name, value in row.items():
        if name not in OWN and isinstance(value, str | int | float | bool):
            found[f"column_{name}" if name in RESERVED or name.startswith("_") else name] = value
    return found
