"""Records: what becomes one row of each table."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.errors import ImageError
from pipeline.manifest import ImageRef

if TYPE_CHECKING:  # whoever has one of these has torch; the scheduler needs none
    from inr_core import Explanation
    from pipeline.images import LoadedImage

Row = dict[str, Any]


def image_row(
    ref: ImageRef,
    loaded: LoadedImage,
    classes: tuple[str, ...],
    target: tuple[int, float],
    predicted: tuple[int, float],
    contrast: tuple[int, float] | None = None,
) -> Row:
    """One explained class of an image; `target`, `predicted` and `contrast`, if the class is held
    against another one, are (class index, score).
    """
    x0, y0, x1, y1 = loaded.crop
    against: Row = {}
    if contrast is not None:
        against = {
            "contrast": contrast[0],
            "contrast_name": classes[contrast[0]],
            "contrast_score": contrast[1],
        }
    return {
        "id": ref.id,
        "image": ref.image,
        "target": target[0],
        "target_name": classes[target[0]],
        "score": target[1],
        **against,
        "predicted": predicted[0],
        "predicted_name": classes[predicted[0]],
        "predicted_score": predicted[1],
        "width": loaded.width,
        "height": loaded.height,
        "crop": {"x0": x0, "y0": y0, "x1": x1, "y1": y1},
        "bytes": loaded.bytes,
        "digest": loaded.digest,
        **_carried(ref, target[0]),
    }


def _carried(ref: ImageRef, target: int) -> Row:
    """The manifest's further columns; its ground truth is that of its own target.

    With a column `target_set` it says itself for which classes it holds.
    """
    if ref.target in (None, target) or "target_set" in ref.extra:
        return ref.extra
    return ref.extra | {name: None for name in ("mask", "bbox") if name in ref.extra}


def explanation_row(id_: str, target: int, explanation: Explanation) -> Row:
    """One explanation: an optimised network, or the masks alone."""
    parameters = explanation.parameters
    return {
        "id": id_,
        "target": target,
        "restart": explanation.restart,
        "round": explanation.round,
        "best": explanation.best,
        "seed": explanation.seed,
        "objective": explanation.objective,
        "steps": explanation.steps,
        "parameters": None if parameters is None else parameters.numpy().tobytes(),
        "minimal_area": explanation.minimal_area,
        "ranking": None if explanation.ranking is None else png(explanation.ranking.numpy()),
    }


def mask_rows(id_: str, target: int, explanation: Explanation) -> list[Row]:
    """One row per area; the measured area is that of the stored 8-bit mask."""
    rows = []
    for n, area in enumerate(explanation.areas):
        pixels = explanation.masks[n].numpy()
        name = f"{id_}_{target}_{explanation.restart}_{explanation.round}_{area:g}.png"
        rows.append(
            {
                "id": id_,
                "target": target,
                "restart": explanation.restart,
                "round": explanation.round,
                "best": explanation.best,
                "area": area,
                "measured_area": float(pixels.mean(dtype=np.float64) / 255),
                "score_kept": explanation.kept[n],
                "score_removed": explanation.removed[n],
                "score_kept_hard": explanation.hard_kept[n],
                "score_removed_hard": explanation.hard_removed[n],
                "mask": {"bytes": png(pixels), "path": name},
                **_contrast_scores(explanation, n),
            }
        )
    return rows


def _contrast_scores(explanation: Explanation, area: int) -> Row:
    kept, removed = explanation.contrast_kept, explanation.contrast_removed
    if kept is None or removed is None:
        return {}
    return {"contrast_kept": kept[area], "contrast_removed": removed[area]}


def failure_row(ref: ImageRef, error: ImageError) -> Row:
    """One failed attempt."""
    return {"id": ref.id, "image": ref.image or None, "stage": error.stage, "reason": error.reason}


def pixels_of(png_: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels (H, W) of a stored mask; no other format is looked at."""
    with Image.open(io.BytesIO(png_), formats=["PNG"]) as picture:
        return np.array(picture)


def png(pixels_HW: np.ndarray[Any, Any]) -> bytes:
    """An 8-bit grey PNG; of smooth masks, run lengths take .4 of the time for 1.03 of the bytes."""
    sink = io.BytesIO()
    Image.fromarray(pixels_HW).save(sink, "PNG", compress_type=zlib.Z_RLE)
    return sink.getvalue()
