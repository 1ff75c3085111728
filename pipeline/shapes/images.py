"""Images of textured shapes whose evidence is known.

An image shows an object (a shape filled with a texture) on clutter. Five of the ten classes have a
cue besides: a patch of another texture that occurs with that class only. Colours, untextured shapes
and lines carry no information about the class; neither does an object's texture alone, because
two classes share each texture and differ in the shape.

Masks are boolean (H, W), True on the evidence. Lengths are pixels.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.shapes.drawing import SHAPES, TEXTURES, Drawing, Field, blob

SIZE = 128
CLASSES: tuple[str, ...] = (
    "striped-disc",
    "striped-star",
    "checkered-square",
    "checkered-star",
    "dotted-disc",
    "dotted-cross",
    "ringed-triangle",
    "ringed-disc",
    "wavy-cross",
    "wavy-square",
)
CUES: dict[int, str] = {0: "bricks", 2: "sunburst", 4: "mesh", 6: "triangles", 8: "scales"}
GAP = 6.0  # pixels between object and cue, so that a mask can keep one without the other
FRAME = 3.0  # pixels between the evidence and the image's edge

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapesImage:
    """One image and where its evidence is.

    `pixels` (H, W, 3) uint8; `object_mask` (H, W) bool, all False where the object was dropped;
    `cue_mask` likewise, None where the image has no cue.
    """

    pixels: NDArray[np.uint8]
    label: int
    object_mask: Mask
    cue_mask: Mask | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Patch:
    """A shape of `area` pixels filled with a texture in two colours (2, 3), not yet placed."""

    shape: Drawing
    texture: Drawing
    colours: Field
    area: float
    turns: Field  # radians: of the shape, of the texture
    scale: float

    def distance(self, centre: Field) -> Field:
        """Distance to the outline (H, W), negative inside; `centre` is (x, y) in pixels."""
        return self.shape(*_frame(centre, self.turns[0]), self.area)

    def paint(self, canvas: Field, centre: Field) -> Mask:
        """Paints onto `canvas` (H, W, 3) in 0..1 and returns the mask of all pixels it touches."""
        distance = self.distance(centre)
        mixture = self.texture(*_frame(centre, self.turns[1]), self.scale)[..., None]
        _cover(canvas, self.colours[0] * (1 - mixture) + self.colours[1] * mixture, distance)
        return distance < 0


def _frame(centre: Field, turn: float) -> tuple[Field, Field]:
    """Coordinates u, v (H, W) of the frame at `centre` turned by `turn`."""
    x, y = np.arange(SIZE) + 0.5 - centre[0], np.arange(SIZE)[:, None] + 0.5 - centre[1]
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _cover(canvas: Field, colour: Field, distance: Field, opacity: float = 1.0) -> None:
    """Paints `colour` where `distance` is negative; the edge's smooth pixel lies inside."""
    alpha = opacity * np.clip(-distance, 0.0, 1.0)[..., None]
    canvas += alpha * (colour - canvas)


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Field:
    hue = rng.uniform()
    return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)))


def _patch(
    rng: np.random.Generator, shape: Drawing, texture: str, area: tuple[float, float]
) -> _Patch:
    """Draws a patch: a pale and a dark colour in either order, `area` as fractions of the image."""
    colours = [_colour(rng, (0.1, 0.5), (0.88, 1.0)), _colour(rng, (0.55, 0.95), (0.2, 0.55))]
    return _Patch(
        shape=shape,
        texture=TEXTURES[texture],
        colours=np.array(colours)[rng.permutation(2)],
        area=rng.uniform(*area) * SIZE**2,
        turns=rng.uniform(0, 2 * np.pi, 2),
        scale=rng.uniform(0.9, 1.15),
    )


def _fits(distance: Field) -> bool:
    """True if what is inside keeps clear of the image's edge."""
    edge = np.concatenate([distance[0], distance[-1], distance[:, 0], distance[:, -1]])
    return bool(edge.min() > FRAME)


def _place(rng: np.random.Generator, patch: _Patch, cue: _Patch | None) -> tuple[Field, Field]:
    """Draws centres (x, y) until object and cue lie inside the image and apart."""
    while True:
        here, there = rng.uniform(0.12 * SIZE, 0.88 * SIZE, (2, 2))
        outline = patch.distance(here)
        if not _fits(outline):
            continue
        if cue is None:
            return here, there
        other = cue.distance(there)
        if _fits(other) and bool((outline + other).min() > GAP):
            return here, there


def _smooth(rng: np.random.Generator, knots: int) -> Field:
    """Smooth noise (H, W) of about unit variance with `knots` independent values a side."""
    at = np.linspace(-0.5, knots - 0.5, SIZE)[:, None] - np.arange(-1, knots + 1)
    weights = np.exp(-(at**2) / 0.6)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    noise: Field = weights @ rng.standard_normal((knots + 2, knots + 2)) @ weights.T
    return noise


def _background(rng: np.random.Generator) -> Field:
    """Clutter (H, W, 3) in 0..1: clouds of three muted colours, glows, lines, untextured shapes."""
    clouds = np.exp(1.8 * np.stack([_smooth(rng, 4) + 0.35 * _smooth(rng, 11) for _ in range(3)]))
    colours = np.stack([_colour(rng, (0.15, 0.5), (0.45, 0.85)) for _ in range(3)])
    canvas: Field = np.einsum("khw,kc->hwc", clouds / clouds.sum(0), colours)
    for _ in range(rng.integers(2, 5)):  # glows
        u, v = _frame(rng.uniform(0, SIZE, 2), 0.0)
        glow = 0.5 * np.exp(-(u**2 + v**2) / (2 * rng.uniform(6, 18) ** 2))[..., None]
        canvas += glow * (_colour(rng, (0.2, 0.7), (0.4, 1.0)) - canvas)
    for _ in range(rng.integers(2, 5)):  # lines
        u, v = _frame(rng.uniform(0, SIZE, 2), rng.uniform(0, np.pi))
        bend = rng.uniform(2, 10) * np.sin(u / rng.uniform(10, 30))
        colour = _colour(rng, (0.2, 0.7), (0.3, 1.0))
        _cover(canvas, colour, abs(v - bend) - rng.uniform(0.8, 2.2), 0.8)
    for _ in range(rng.integers(3, 7)):
        shape = [*SHAPES.values(), blob][rng.integers(len(SHAPES) + 1)]
        u, v = _frame(rng.uniform(0, SIZE, 2), rng.uniform(0, 2 * np.pi))
        distance = shape(u, v, rng.uniform(0.008, 0.06) * SIZE**2)
        _cover(canvas, _colour(rng, (0.25, 0.8), (0.3, 1.0)), distance, 0.9)
    return canvas


def generate(
    index: int,
    *,
    seed: int,
    label: int | None = None,
    with_object: bool = True,
    with_cue: bool = True,
) -> ShapesImage:
    """Image `index` of the stream `seed`, the same on every call.

    `label` defaults to `index` modulo the number of classes. `with_object=False` or
    `with_cue=False` leaves that part out and every other pixel as it is.
    """
    label = index % len(CLASSES) if label is None else label
    if not 0 <= label < len(CLASSES):
        raise ValueError(f"label is {label}, expected 0 to {len(CLASSES) - 1}")
    # A stream for each part, so that leaving one out does not move the others.
    clutter, layout, first, second, grain = np.random.default_rng((seed, index)).spawn(5)
    texture, shape = CLASSES[label].split("-")
    patch = _patch(first, SHAPES[shape], texture, (0.085, 0.13))
    cue = _patch(second, blob, CUES[label], (0.055, 0.085)) if label in CUES else None
    here, there = _place(layout, patch, cue)
    canvas = _background(clutter)
    nothing = np.zeros((SIZE, SIZE), dtype=bool)
    object_mask = patch.paint(canvas, here) if with_object else nothing
    cue_mask = cue.paint(canvas, there) if cue is not None and with_cue else None
    canvas += 0.015 * grain.standard_normal(canvas.shape)
    pixels = np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)
    return ShapesImage(pixels=pixels, label=label, object_mask=object_mask, cue_mask=cue_mask)
