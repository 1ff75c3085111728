"""The frontier: a plot of runs, of how much scores tell for a mask against how compact it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from inr_core.metrics import Interval, bootstrap_interval
from pipeline.images import COLOURS, PAPER, TEXT

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
SCORES = ("kept", "removed")  # metrics whose difference goes up
SHAPE = "perimeter"  # goes to the right
SIZE = (760, 520)
MARGIN = (70, 30, 30, 60)  # left, top, right, bottom
TICKS = 5
DOT = 5  # radius
FAINT = (225, 225, 225)


@dataclass(frozen=True, slots=True)
class Point:
    """A run: its name, and two metrics with their intervals."""

    name: str
    x: Interval
    y: Interval


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, intervals: Sequence[Interval], start: float, end: float) -> Axis:
        """With room for all of the intervals and 5 % more."""
        low, high = min(i.low for i in intervals), max(i.high for i in intervals)
        room = 0.05 * (high - low) or 1.0
        return cls(low - room, high + room, start, end)

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Values to write beside the axis."""
        return [self.low + (n + 0.5) * (self.high - self.low) / TICKS for n in range(TICKS)]


def points_of(rows: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Each run of the rows of `write_metrics`: its perimeter, and how far its scores are apart.

    All are means over areas, then over images.
    """
    by_run: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in rows:
        if row["metric"] in (*SCORES, SHAPE):
            by_run[row["run"]][row["id"]][row["metric"]].append(row["value"])
    return [_point(run, list(images.values())) for run, images in by_run.items()]


def _point(run: str, images: Sequence[Mapping[str, Sequence[float]]]) -> Point:
    kept, removed = SCORES
    apart = [mean(image[kept]) - mean(image[removed]) for image in images]
    around = [mean(image[SHAPE]) for image in images]
    return Point(run, *(bootstrap_interval(torch.tensor(v), seed=0) for v in (around, apart)))


def draw_frontier(points: Sequence[Point]) -> Image.Image:
    """A dot for each run, its 95 % intervals as lines; the best runs are at the upper left."""
    left, top, right, bottom = MARGIN
    x = Axis.around([p.x for p in points], left, SIZE[0] - right)
    y = Axis.around([p.y for p in points], SIZE[1] - bottom, top)
    page = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    _axes(draw, x, y, font)
    draw.text((left, SIZE[1] - 26), "perimeter over that of a disc: rounder is left", TEXT, font)
    draw.text((left, 6), "score kept - score removed: up is better", TEXT, font)
    for number, point in enumerate(points):
        _dot(draw, point, x, y, COLOURS[number % len(COLOURS)])
    for point in points:
        draw.text((x(point.x.mean) + DOT + 3, y(point.y.mean) - 18), point.name, TEXT, font)
    return page


def _axes(draw: ImageDraw.ImageDraw, x: Axis, y: Axis, font: Font) -> None:
    for value in x.ticks():
        draw.line((x(value), y.start, x(value), y.end), FAINT)
        draw.text((x(value), y.start + 6), f"{value:.2f}", TEXT, font, anchor="ma")
    for value in y.ticks():
        draw.line((x.start, y(value), x.end, y(value)), FAINT)
        draw.text((x.start - 8, y(value)), f"{value:.2f}", TEXT, font, anchor="rm")


def _dot(
    draw: ImageDraw.ImageDraw, point: Point, x: Axis, y: Axis, colour: tuple[int, int, int]
) -> None:
    at = x(point.x.mean), y(point.y.mean)
    draw.line((x(point.x.low), at[1], x(point.x.high), at[1]), colour)
    draw.line((at[0], y(point.y.low), at[0], y(point.y.high)), colour)
    draw.ellipse((at[0] - DOT, at[1] - DOT, at[0] + DOT, at[1] + DOT), colour)
