"""One explained image of a run: its rows, and its masks at any area and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import TypeAdapter

from inr_core import METHODS, MaskConfig, render
from pipeline.errors import RequestError
from pipeline.images import pair
from pipeline.tables.records import pixels_of

MaskArray = np.ndarray[Any, np.dtype[np.uint8]]
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is the same for all images of a run, as far as masks depend on it.

    uri       of the run, for messages
    config    settings of its method (InrConfig, ...)
    networks  whether it stored networks, from which masks of any area can be rendered
    size      of the classifier's input: height and width, in pixels
    """

    uri: str
    method: str
    config: Any
    networks: bool
    size: tuple[int, int]

    @classmethod
    def of(cls, fingerprint: Mapping[str, Any], uri: str) -> RunSettings:
        """Of the fingerprint of a run."""
        name = fingerprint["method"]
        method = METHODS[name]
        names = method.config.__dataclass_fields__
        config: Any = TypeAdapter(method.config).validate_python(
            {field: value for field, value in fingerprint.items() if field in names}
        )
        size = pair(fingerprint["preprocess"]["crop"])
        return cls(uri, name, config, method.networks(config) > 0, size)

    def largest_area(self, round_: int) -> float:
        """The largest area that a mask of this round can have."""
        return float(self.config.mask.largest_area(round_)) if self.networks else 1.0

    def areas(self) -> str:
        """The stored areas, for messages."""
        return ", ".join(f"{area:g}" for area in self.config.areas)


def whole_box(crop: Mapping[str, float]) -> tuple[int, int, int, int]:
    """A box in whole pixels: left, top, right, bottom."""
    left, top, right, bottom = (round(crop[side]) for side in ("x0", "y0", "x1", "y1"))
    return left, top, right, bottom


def placed(mask_HW: MaskArray, box: tuple[int, int, int, int], size: tuple[int, int]) -> MaskArray:
    """A mask of a box in an image of (height, width), 0 outside; the box may reach beyond it."""
    x0, y0, x1, y1 = box
    height, width = size
    whole = np.zeros(size, np.uint8)
    rows, columns = slice(max(0, y0), min(height, y1)), slice(max(0, x0), min(width, x1))
    whole[rows, columns] = mask_HW[
        rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0
    ]
    return whole


def rendered(
    chain: Rows, areas: Sequence[float], size: tuple[int, int], config: MaskConfig
) -> MaskArray:
    """Masks of the last of a restart's explanations, (areas, height, width) uint8, 255 = keep.

    chain  it and those of the earlier rounds
    """
    networks = [
        torch.frombuffer(bytearray(e["parameters"]), dtype=torch.float16)
        for e in sorted(chain, key=lambda e: int(e["round"]))
    ]
    chain_JK = torch.stack(networks)
    area_1A = torch.tensor([list(areas)], dtype=torch.float64)
    return render(chain_JK[-1:], chain_JK[None, :-1], area_1A, size, config)[0].numpy()


class ExplainedImage:
    """The rows of one image in the tables `images`, `explanations` and `masks`.

    explanations and masks are ordered by restart, round and area
    """

    def __init__(
        self, row: dict[str, Any], explanations: Rows, masks: Rows, settings: RunSettings
    ) -> None:
        self.row, self.settings = row, settings
        self.explanations = sorted(explanations, key=lambda e: (e["restart"], e["round"]))
        self.masks = sorted(masks, key=lambda m: (m["restart"], m["round"], m["area"]))

    @property
    def id(self) -> str:
        """The image's id."""
        return str(self.row["id"])

    def best(self, round_: int = 0, restart: int | None = None) -> dict[str, Any]:
        """The explanation of a restart, by default the best one; RequestError if there is none."""
        for row in (e for e in self.explanations if e["round"] == round_):
            if row["best"] if restart is None else row["restart"] == restart:
                return row
        raise RequestError(
            f"{self.id}: no explanation for round {round_}, restart "
            f"{'best' if restart is None else restart} in {self.settings.uri}"
        )

    def telling_area(self, round_: int = 0) -> float:
        """The smallest stored area of the best restart that is at least its minimal one; if it
        has none, the middle one that is stored.
        """
        best = self.best(round_)
        stored = [float(m["area"]) for m in self.masks_of(best["restart"], round_)]
        minimal = best["minimal_area"]
        if minimal is None:
            return stored[len(stored) // 2]
        return next((area for area in stored if area >= minimal), stored[-1])

    def masks_of(self, restart: int, round_: int) -> Rows:
        """Rows of the masks of one explanation."""
        return [m for m in self.masks if (m["restart"], m["round"]) == (restart, round_)]

    def mask_row(self, area: float, restart: int, round_: int) -> dict[str, Any] | None:
        """The row of one stored mask, None for an area that was not stored."""
        found = [m for m in self.masks_of(restart, round_) if m["area"] == area]
        return found[0] if found else None

    def render(
        self,
        areas: Sequence[float],
        *,
        restart: int | None = None,
        round: int = 0,
        size: tuple[int, int] | None = None,
    ) -> list[MaskArray]:
        """Masks from the stored network; see `RunReader.render`."""
        self.check_renders(areas, round)
        restart = self.best(round, restart)["restart"]
        chain = [e for e in self.explanations if e["restart"] == restart and e["round"] <= round]
        size = size or self.settings.size
        return list(rendered(chain, areas, size, self.settings.config.mask))

    def stored(self, area: float, *, restart: int | None = None, round: int = 0) -> MaskArray:
        """The 8-bit mask in the table, (height, width) uint8, 255 = keep."""
        restart = self.best(round, restart)["restart"]
        row = self.mask_row(area, restart, round)
        if row is None:
            raise RequestError(
                f"{self.id}: no mask of area {area} in restart {restart}, round {round}; the areas "
                f"of this run are {self.settings.areas()}"
            )
        return pixels_of(row["mask"]["bytes"])

    def sized(
        self, areas: Sequence[float], *, restart: int | None, round: int, size: tuple[int, int]
    ) -> list[MaskArray]:
        """Masks of any size: rendered; for methods without networks the stored ones, enlarged."""
        if self.settings.networks:
            return self.render(areas, restart=restart, round=round, size=size)
        stored = [self.stored(area, restart=restart, round=round) for area in areas]
        wide = (size[1], size[0])
        return [
            np.array(Image.fromarray(mask).resize(wide, Image.Resampling.BILINEAR))
            for mask in stored
        ]

    def original(self, area: float, *, restart: int | None = None, round: int = 0) -> MaskArray:
        """The mask in the pixels of the upright original, 0 outside what the classifier saw."""
        box = whole_box(self.row["crop"])
        x0, y0, x1, y1 = box
        size = (y1 - y0, x1 - x0)
        (mask,) = self.sized([area], restart=restart, round=round, size=size)
        return placed(mask, box, (self.row["height"], self.row["width"]))

    def check_renders(self, areas: Sequence[float], round_: int) -> None:
        """RequestError where there is no network, or no room for these areas in the round."""
        if not self.settings.networks:
            raise RequestError(
                f"render: method {self.settings.method} stores no network to render masks from; "
                f"the stored ones, of areas {self.settings.areas()}, can be had with stored_mask"
            )
        largest = self.settings.largest_area(round_)
        for area in areas:
            if not 0 < area <= largest or area >= 1:
                raise RequestError(
                    f"render: area {area} is impossible in round {round_}; expected a fraction "
                    f"above 0 and at most {largest:.3f}"
                )
