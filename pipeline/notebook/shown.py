"""An explained image that shows itself in a notebook."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from PIL import Image

from pipeline.images import Style
from pipeline.results import Drawing, animate
from pipeline.tables import ExplainedImage, MaskArray


class Explained:
    """What a classifier relies on in one image.

    image  the upright original
    row    class explained and predicted, their scores, sizes: a row of the table `images`
    """

    def __init__(self, one: ExplainedImage, image: Image.Image) -> None:
        self.image, self.row = image, one.row
        self._one, self._drawing = one, Drawing(one, image)

    @property
    def masks(self) -> dict[float, MaskArray]:
        """The best masks of round 0 by area, in the pixels of `image`: (height, width) uint8, 255 =
        keep.
        """
        best = self._one.best()["restart"]
        return {m["area"]: self.mask(m["area"]) for m in self._one.masks_of(best, 0)}

    @property
    def scores(self) -> list[dict[str, Any]]:
        """Rows of the table `masks` without the pictures; `pandas.DataFrame(e.scores)`."""
        return [{name: row[name] for name in row if name != "mask"} for row in self._one.masks]

    @property
    def minimal_area(self) -> float | None:
        """The smallest stored area that keeps 90 % of the score, None if none does."""
        area: float | None = self._one.best()["minimal_area"]
        return area

    def mask(self, area: float, *, round: int = 0, restart: int | None = None) -> MaskArray:
        """A mask of any area in the pixels of `image`; `restart` None: the best of the round.

        RequestError for an impossible area; without networks for one that is not stored.
        """
        return self._one.original(area, round=round, restart=restart)

    def draw(
        self, area: float | None = None, *, style: Style = "dim", round: int = 0
    ) -> Image.Image:
        """The best mask of a round over the image, as in `xaipipe show --style`; `area` None: the
        smallest that keeps the score.
        """
        restart = self._one.best(round)["restart"]
        shown = None if style == "heat" else area or self._one.telling_area(round)
        return self._drawing.picture(shown, restart=restart, round_=round, style=style).image

    def animate(self, *, style: Style = "outline", round: int = 0) -> bytes:
        """An animated WebP of the mask as it grows."""
        return animate(self._drawing, style, round)

    def sheet(self, *, style: Style = "dim") -> Image.Image:
        """All masks on one page: a row for every restart and round."""
        return self._drawing.sheet(list(self._drawing.pictures(style=style)))

    def __repr__(self) -> str:
        area = "none" if self.minimal_area is None else f"{self.minimal_area:g}"
        return f"Explained({self._drawing.title()}, minimal area {area})"

    def _repr_png_(self) -> bytes:
        sink = io.BytesIO()
        self.sheet().save(sink, "PNG")
        return sink.getvalue()

    def _repr_html_(self) -> str:
        data = base64.b64encode(self._repr_png_()).decode()
        title = html.escape(self._drawing.title())
        return f'<img alt="{title}" style="max-width:100%" src="data:image/png;base64,{data}">'
