"""Shapes and textures as functions of (u, v), the frame of an object or a cue.

Lengths are pixels; (u, v) are coordinates of the turned frame, with its centre at the origin.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]


# Shapes: negative inside, about the distance in pixels to the outline; `area` in pixels.


def _disc(u: Field, v: Field, area: float) -> Field:
    distance: Field = np.hypot(u, v) - np.sqrt(area / np.pi)
    return distance


def _square(u: Field, v: Field, area: float) -> Field:
    distance: Field = np.maximum(abs(u), abs(v)) - np.sqrt(area) / 2
    return distance


def _triangle(u: Field, v: Field, area: float) -> Field:
    inradius = np.sqrt(area / np.sqrt(27))
    distance: Field = np.maximum(abs(u) * np.sqrt(0.75) + v / 2, -v) - inradius
    return distance


def _cross(u: Field, v: Field, area: float) -> Field:
    arm = np.sqrt(area / 2.4624)  # area of arms of half-length 1 and half-width 0.38
    long, short = np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    distance: Field = np.maximum(long - arm, short - 0.38 * arm)
    return distance


def _star(u: Field, v: Field, area: float) -> Field:
    half, inner = np.pi / 5, 0.55  # half the angle of one of five points; radius of the notches
    outer = np.sqrt(area / (5 * inner * np.sin(half)))
    normal = np.arctan2(1 - inner * np.cos(half), inner * np.sin(half))  # of a side, as an angle
    angle = abs((np.arctan2(v, u) + half) % (2 * half) - half)
    distance: Field = np.hypot(u, v) * np.cos(angle - normal) - outer * np.cos(normal)
    return distance


def blob(u: Field, v: Field, area: float) -> Field:
    angle = np.arctan2(v, u)
    bumps = 1 + 0.08 * np.cos(2 * angle) + 0.08 * np.cos(3 * angle + 1)
    distance: Field = np.hypot(u, v) - np.sqrt(area / (np.pi * 1.0064)) * bumps
    return distance


# Textures: 0..1, how much of the second colour; edges are about one pixel wide.


def _edge(distance: Field) -> Field:
    return np.clip(0.5 + distance, 0.0, 1.0)


def _wave(x: Field, period: float) -> Field:
    """Triangle wave: pixels to the nearest zero crossing, positive in half of each period."""
    return period / 4 - abs(x % period - period / 2)


def _striped(u: Field, v: Field, scale: float) -> Field:
    return _edge(_wave(u, 8.5 * scale))


def _checkered(u: Field, v: Field, scale: float) -> Field:
    a, b = _wave(u, 14 * scale), _wave(v, 14 * scale)
    return _edge(np.sign(a * b) * np.minimum(abs(a), abs(b)))


def _dotted(u: Field, v: Field, scale: float) -> Field:
    period = 9.5 * scale
    offset = period / 2 * (np.floor(v / period) % 2)
    x, y = (u + offset) % period - period / 2, v % period - period / 2
    return _edge(0.31 * period - np.hypot(x, y))


def _ringed(u: Field, v: Field, scale: float) -> Field:
    return _edge(_wave(np.hypot(u, v), 8.5 * scale))


def _wavy(u: Field, v: Field, scale: float) -> Field:
    return _edge(0.75 * _wave(u + 3.2 * scale * np.sin(v * 2 * np.pi / (15 * scale)), 8.5 * scale))


def _bricks(u: Field, v: Field, scale: float) -> Field:
    height, width = 6.5 * scale, 13 * scale
    offset = width / 2 * (np.floor(v / height) % 2)
    x = width / 2 - abs((u + offset) % width - width / 2)
    y = height / 2 - abs(v % height - height / 2)
    return _edge(1.0 - np.minimum(x, y))


def _sunburst(u: Field, v: Field, scale: float) -> Field:
    angle = np.arctan2(v, u)
    return _edge(np.hypot(u, v) * _wave(angle, 2 * np.pi / 9))


def _mesh(u: Field, v: Field, scale: float) -> Field:
    period = 7.5 * scale
    x, y = abs(u % period - period / 2), abs(v % period - period / 2)
    return _edge(1.1 - np.minimum(x, y))


def _triangles(u: Field, v: Field, scale: float) -> Field:
    period = 15 * scale
    axes = [u * np.cos(turn) + v * np.sin(turn) for turn in (0, np.pi / 3, -np.pi / 3)]
    waves = [_wave(axis + period / 4, period) for axis in axes]  # all lines meet at the origin
    return _edge(np.sign(np.prod(waves, axis=0)) * np.min(np.abs(waves), axis=0))


def _scales(u: Field, v: Field, scale: float) -> Field:
    width, height = 12 * scale, 7 * scale
    row = np.floor(v / height)
    arcs = []
    for above in (0, 1):  # a scale hangs over the row below its own
        x = (u + width / 2 * ((row - above) % 2)) % width - width / 2
        arcs.append(np.hypot(x, v - (row - above) * height) - 0.58 * width)
    return _edge(1.0 - np.where(arcs[1] < 0, abs(arcs[1]), abs(arcs[0])))


Drawing = Callable[[Field, Field, float], Field]
SHAPES: dict[str, Drawing] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
}
TEXTURES: dict[str, Drawing] = {
    "striped": _striped,
    "checkered": _checkered,
    "dotted": _dotted,
    "ringed": _ringed,
    "wavy": _wavy,
    "bricks": _bricks,
    "sunburst": _sunburst,
    "mesh": _mesh,
    "triangles": _triangles,
    "scales": _scales,
}
