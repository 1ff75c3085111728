"""Cards of the gallery: an image, its explanations and what is known of them, for the script."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc
from PIL import Image

from pipeline.errors import RequestError
from pipeline.images import parse_boxes
from pipeline.report.parts import home
from pipeline.report.sample import Key, Sample
from pipeline.report.strips import Row, Strips, scores
from pipeline.report.thumbnails import jpeg, side_of, thumbnail
from pipeline.results import Originals
from pipeline.tables import CONTRAST, IMAGES, RunReader

BUDGET = 22_000_000  # characters of all cards; a page is to stay below 25 MB
OWN = (*IMAGES.names, *(field.name for field in CONTRAST))  # columns of ours
TEXT = 200  # characters shown of a further column of the manifest
Regions = Mapping[tuple[Key, int, int], Row]  # by image, restart and round


@dataclass(slots=True)
class Cards:
    """Cards that could be drawn, (id, reason) of what could not, and how many found no room."""

    drawn: list[Row] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0


class Explained:
    """Rows of some images of one run, by id and target: read once."""

    def __init__(self, reader: RunReader, ids: Sequence[str]) -> None:
        part, self.strips = home(reader, ids), Strips(reader)
        self.images = {(row["id"], row["target"]): row for row in _rows(part.images, ids)}
        self.explanations = _by_key(_rows(part.explanations, ids))
        columns = [n for n in part.masks.schema.names if n != "mask" or not reader.networks]
        self.masks = _by_key(_rows(part.masks, ids, columns))

    def of(self, key: Key, best_only: bool = False) -> Iterator[Row]:
        """Explanations of an image for the script: the best restarts in front, round by round."""
        rows, masks = self.explanations[key], self.masks[key]
        for e in sorted(rows, key=lambda e: (not e["best"], e["round"], e["restart"])):
            place = (e["restart"], e["round"])
            if best_only and not e["best"]:
                continue
            own = sorted(
                (m for m in masks if (m["restart"], m["round"]) == place), key=lambda m: m["area"]
            )
            chain = [c for c in rows if c["restart"] == e["restart"]]
            yield {
                "restart": e["restart"],
                "round": e["round"],
                "best": e["best"],
                "minimal": e["minimal_area"],
                "scores": scores(own),
                **self.strips.draw(e, chain, own),
            }


def cards(
    reader: RunReader,
    chosen: Sample,
    *,
    others: Mapping[str, RunReader],
    regions: Regions,
    originals: Originals,
) -> Cards:
    """Draw the chosen images while there is room.

    others   runs to show beside this one, by name; regions: by key, restart and round
    originals  where the images are now
    """
    ids = list(dict.fromkeys(id_ for id_, _ in chosen.why))
    found, room = Cards(), BUDGET
    own = Explained(reader, ids) if ids else None
    beside = {name: Explained(other, ids) for name, other in others.items() if ids}
    side = side_of(len(chosen.why))
    for n, (key, why) in enumerate(chosen.why.items()):
        assert own is not None
        row = own.images[key]
        try:
            card = _card(row, thumbnail(originals.open(row), side))
        except RequestError as error:
            found.lost.append((row["id"], str(error)))
            continue
        size = row["width"], row["height"]
        card |= {"why": why, "shown": [e | _region(regions, key, e, size) for e in own.of(key)]}
        for name, other in beside.items():
            card["shown"] += [e | {"run": name} for e in other.of(key, best_only=True)]
        room -= len(json.dumps(card))
        if room < 0:
            found.left_out = len(chosen.why) - n
            break
        found.drawn.append(card)
    return found


def _card(row: Row, picture: Image.Image) -> Row:
    width, height = row["width"], row["height"]
    boxes = parse_boxes(row.get("bbox") or "")
    further = {k: v for k, v in row.items() if k not in OWN and v not in (None, "")}
    return {
        "id": row["id"],
        "target": row["target"],
        "name": row["target_name"],
        "score": round(row["score"], 4),
        "predicted": row["predicted_name"],
        "predicted_score": round(row["predicted_score"], 4),
        "contrast": row.get("contrast_name"),
        "contrast_score": round(row.get("contrast_score") or 0, 4),
        "correct": row["predicted"] == row["target"],
        "picture": jpeg(picture),
        "size": picture.size,
        "crop": _shares([row["crop"][s] for s in ("x0", "y0", "x1", "y1")], width, height),
        "boxes": [_shares(box, width, height) for box in boxes],
        "further": {k: str(v)[:TEXT] for k, v in further.items()},
    }


def _region(regions: Regions, key: Key, explanation: Row, size: tuple[int, int]) -> Row:
    """What `regions` knows of an explanation; `box` as shares of width and height."""
    row = regions.get((key, explanation["restart"], explanation["round"]))
    if row is None:
        return {}
    box = [row[side] for side in ("x0", "y0", "x1", "y1")]
    names = ("area", "outside", "pattern", "pattern_target", "becomes_name")
    known = {name: row.get(name) for name in names}
    return known | {"box": _shares(box, *size)}


def _shares(box: Sequence[float], width: int, height: int) -> list[float]:
    """A box in pixels as shares of width and height."""
    return [round(v / (height if n % 2 else width), 4) for n, v in enumerate(box)]


def _by_key(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["id"], row["target"]].append(row)
    return found


def _rows(table: Any, ids: Sequence[str], columns: Sequence[str] | None = None) -> list[Row]:
    found = table.to_table(columns=columns, filter=pc.field("id").isin(list(ids)))
    rows: list[Row] = found.to_pylist()
    return rows
