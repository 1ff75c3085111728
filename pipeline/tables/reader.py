"""Reading a run back: its tables, and its masks at any area and size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import TypeAdapter

from inr_core import METHODS, render
from pipeline.errors import RequestError
from pipeline.tables.run_tables import RunTables

MaskArray = np.ndarray[Any, np.dtype[np.uint8]]


def read(uri: str) -> RunReader:
    """Open a run's output; RequestError if there is none at `uri`."""
    return RunReader(uri)


class RunReader(RunTables):
    """A run's committed tables and masks.

    config    settings of its method (InrConfig, ...)
    networks  whether it stored networks, from which masks of any area can be rendered
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        method = METHODS[self.fingerprint["method"]]
        names = method.config.__dataclass_fields__
        self.config: Any = TypeAdapter(method.config).validate_python(
            {name: value for name, value in self.fingerprint.items() if name in names}
        )
        self.networks = method.networks(self.config) > 0

    def render(
        self,
        id_: str,
        area: float,
        *,
        restart: int | None = None,
        round: int = 0,
        size: tuple[int, int] | None = None,
        original: bool = False,
    ) -> MaskArray:
        """A mask from the stored network: (height, width) uint8, 255 = keep.

        area      any fraction of the classifier's input in (0, 1), trained on or not
        restart   None: the best one of the round
        size      (height, width) of the part the classifier saw; None: the classifier's input
        original  the mask in the pixels of the upright original image instead, 0 outside the part
                  that the classifier saw; excludes `size`
        Raises RequestError for an unknown image, restart or round, for an impossible area, and for
        a run whose method stores no networks.
        """
        self._need_networks()
        if original and size is not None:
            raise RequestError("render: give either size or original=True")
        if not 0 < area <= self.largest_area(round) or area >= 1:
            raise RequestError(
                f"render: area {area} is impossible in round {round}; expected a fraction above 0 "
                f"and at most {self.largest_area(round):.3f}"
            )
        chain = self._chain(id_, restart, round)
        crop = self._crop(id_) if original else None
        if crop is not None:
            size = (crop[3] - crop[1], crop[2] - crop[0])
        side = self.fingerprint["preprocess"]["crop"]
        chain_JK = torch.stack(chain)
        mask = render(
            chain_JK[-1:],
            chain_JK[None, :-1],
            torch.tensor([[area]], dtype=torch.float64),
            size or (side, side),
            self.config.mask,
        )[0, 0].numpy()
        return mask if crop is None else self._paste(id_, mask, crop)

    def stored_mask(
        self, id_: str, area: float, *, restart: int | None = None, round: int = 0
    ) -> MaskArray:
        """The 8-bit mask in the table, (height, width) uint8, 255 = keep."""
        restart = self._restart(self.rows("explanations", id_), id_, restart, round)
        for row in self.rows("masks", id_):
            if (row["restart"], row["round"], row["area"]) == (restart, round, area):
                return np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))
        raise RequestError(
            f"{id_}: no mask of area {area} in restart {restart}, round {round}; the areas of this "
            f"run are {self._areas()}"
        )

    def mask(
        self, id_: str, area: float, *, restart: int | None, round: int, size: tuple[int, int]
    ) -> MaskArray:
        """A mask of any size: rendered; for methods without networks the stored one, enlarged."""
        if self.networks:
            return self.render(id_, area, restart=restart, round=round, size=size)
        stored = Image.fromarray(self.stored_mask(id_, area, restart=restart, round=round))
        return np.array(stored.resize((size[1], size[0]), Image.Resampling.BILINEAR))

    def largest_area(self, round: int) -> float:
        """The largest area that a mask of this round can have."""
        return float(self.config.mask.largest_area(round)) if self.networks else 1.0

    def _need_networks(self) -> None:
        if not self.networks:
            raise RequestError(
                f"render: method {self.fingerprint['method']} stores no network to render masks "
                f"from; the stored ones, of areas {self._areas()}, can be had with stored_mask"
            )

    def _areas(self) -> str:
        return ", ".join(f"{area:g}" for area in self.config.areas)

    def _chain(self, id_: str, restart: int | None, round_: int) -> list[torch.Tensor]:
        """Parameters of the rounds 0..round_ of one restart."""
        rows = self.rows("explanations", id_)
        restart = self._restart(rows, id_, restart, round_)
        chain = [r["parameters"] for r in rows if r["restart"] == restart and r["round"] <= round_]
        return [torch.frombuffer(bytearray(data), dtype=torch.float16) for data in chain]

    def _restart(
        self, rows: list[dict[str, Any]], id_: str, restart: int | None, round_: int
    ) -> int:
        for row in (r for r in rows if r["round"] == round_):
            if row["best"] if restart is None else row["restart"] == restart:
                return int(row["restart"])
        raise RequestError(
            f"{id_}: no explanation for round {round_}, restart "
            f"{'best' if restart is None else restart} in {self.store.uri}"
        )

    def _crop(self, id_: str) -> tuple[int, int, int, int]:
        box = self.image(id_)["crop"]
        x0, y0, x1, y1 = (round(box[side]) for side in ("x0", "y0", "x1", "y1"))
        return x0, y0, x1, y1

    def _paste(self, id_: str, mask: MaskArray, crop: tuple[int, int, int, int]) -> MaskArray:
        row = self.image(id_)
        whole = np.zeros((row["height"], row["width"]), np.uint8)
        whole[crop[1] : crop[3], crop[0] : crop[2]] = mask
        return whole
