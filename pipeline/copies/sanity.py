"""The model randomisation test (Adebayo et al. 2018): overlap against depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.copies.overlap import Overlaps, chance, overlaps_of, overlaps_with_centre
from pipeline.results import Dot, Interval, Line, Plot, mean_interval
from pipeline.tables import RunReader


@dataclass(frozen=True, slots=True)
class Depth:
    """A share of the layers that was drawn anew: overlap with the intact masks, and the mean
    score that the target still has.
    """

    overlaps: Overlaps
    score: Interval

    def interval(self, area: float) -> Interval:
        """Mean IoU over images."""
        return mean_interval(list(self.overlaps.get(area, {}).values()))


@dataclass(slots=True)
class Sanity:
    """What the masks of a run have in common with those of changed classifiers."""

    intact: RunReader
    centre: Overlaps
    depths: dict[float, Depth] = field(default_factory=dict)

    @classmethod
    def of(cls, intact: RunReader) -> Sanity:
        """Without any depth yet."""
        return cls(intact, overlaps_with_centre(intact))

    def add(self, depth: float, run: RunReader) -> None:
        """The same method on the classifier with this share of its layers drawn anew."""
        scores = run.images.to_table(columns=["score"])["score"].to_pylist()
        self.depths[depth] = Depth(overlaps_of(self.intact, run), mean_interval(scores))

    @property
    def areas(self) -> list[float]:
        """Ascending."""
        return sorted(self.centre)

    def with_centre(self, area: float) -> Interval:
        """Mean IoU of the intact masks with discs in the middle."""
        return mean_interval(list(self.centre[area].values()))

    def values(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "depths": [
                {"depth": depth, "score": asdict(one.score), "iou": _values(one.overlaps)}
                for depth, one in self.depths.items()
            ],
            "centre": _values(self.centre),
            "chance": {f"{area:g}": chance(area) for area in self.areas},
        }

    def plot(self, title: str) -> Plot:
        """IoU against depth, a line for each area; dashed: chance."""
        return Plot(
            title=title,
            x="share of the layers drawn anew, from the top",
            y="IoU with the masks of the intact classifier (dashed: chance)",
            lines=[self._line(area) for area in self.areas],
        )

    def _line(self, area: float) -> Line:
        depths = sorted(self.depths)
        means = [self.depths[depth].interval(area) for depth in depths]
        named = ["" for _ in depths[1:]] + [f"area {area:g}"]
        return Line(
            name=f"area {area:g}",
            dots=[Dot(*one) for one in zip(depths, means, named, strict=True)],
            joined=[(depth, one.mean) for depth, one in zip(depths, means, strict=True)],
            level=chance(area),
        )


def _values(overlaps: Overlaps) -> dict[str, Mapping[str, Any]]:
    return {
        f"{area:g}": {**asdict(mean_interval(list(of_images.values()))), "values": dict(of_images)}
        for area, of_images in overlaps.items()
    }
