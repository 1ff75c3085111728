"""COCO: a list of images, and results whose masks are run-length encoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.errors import RequestError
from pipeline.export.destination import Destination
from pipeline.export.selection import ChosenMask, Selection
from pipeline.paths import all_redacted


def write_coco(selection: Selection, to: Destination, advance: Callable[[], None]) -> None:
    """`images.json` with the images and categories, `results.json` with a result for every mask.

    `COCO("images.json").loadRes("results.json")` reads them. Categories are the classifier's
    classes, with their indices as ids; a mask is what is at least half kept, in the original's
    pixels; its score is the one kept.
    """
    mask_utils = _pycocotools()
    numbers: dict[str, int] = {}  # id -> number: COCO wants whole numbers
    images: list[dict[str, Any]] = []
    categories: dict[int, str] = {}
    with to.file("results.json") as stream:
        start = b"[\n"
        for one in selection:
            row = one.row
            if one.id not in numbers:
                numbers[one.id] = len(numbers) + 1
                images.append(_image(row, numbers[one.id], selection.originals.uri(row)))
            categories[row["target"]] = row["target_name"]
            for mask in selection.masks(one):
                result = _result(mask, numbers[one.id], mask_utils)
                stream.write(start + json.dumps(result).encode())
                start = b",\n"
            advance()
        stream.write(b"\n]\n")
    named = [{"id": id_, "name": categories[id_]} for id_ in sorted(categories)]
    described = {"description": f"masks of {selection.reader.store.uri}"}
    everything = {"info": described, "images": images, "categories": named, "annotations": []}
    to.put("images.json", json.dumps(all_redacted(everything), indent=1).encode())


def _image(row: dict[str, Any], number: int, uri: str) -> dict[str, Any]:
    size = {side: row[side] for side in ("width", "height")}
    return {"id": number, "file_name": uri, **size, "xaipipe_id": row["id"]}


def _result(mask: ChosenMask, number: int, mask_utils: Any) -> dict[str, Any]:
    hard = np.asfortranarray(mask.pixels() > 127, dtype=np.uint8)
    encoded = mask_utils.encode(hard)
    values = mask.values()
    return {
        "image_id": number,
        "category_id": mask.one.row["target"],
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "score": values["score_kept"],
        "xaipipe": values,
    }


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ModuleNotFoundError as error:
        raise RequestError('--to coco needs pycocotools: pip install "xaipipe[coco]"') from error
    return mask
