"""A kind of analysis: what it brings to the frame that all kinds share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from pipeline.classifiers import Classifier
from pipeline.images import LoadedImage, Preprocess
from pipeline.store import Layout, derived
from pipeline.tables import ExplainedImage, Row


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of one image and class.

    one     its rows in the run
    loaded  its pixels; None where the kind asks for none
    others  its rows in each of `Kind.others`; None where that run has none for this (id, target)
    prepared  what `Analyst.prepare` returned
    """

    one: ExplainedImage
    loaded: LoadedImage | None
    others: tuple[ExplainedImage | None, ...] = ()
    prepared: Any = None


class Analyst(Protocol):
    """Looks at images in the process of one worker."""

    @property
    def classifier(self) -> Classifier | None:
        """On the worker's device; None: it asks none."""

    @property
    def preprocess(self) -> Preprocess | None:
        """With which images are loaded; None: it needs none (`Kind.pixels`)."""

    def prepare(self, given: Given) -> Any:
        """What else is to be read or decoded of an image, in threads ahead of the work; or None.

        An ImageError is the failure of the image.
        """

    def __call__(self, batch: Sequence[Given]) -> Mapping[str, Sequence[Row]]:
        """Rows by table, of images of one run; each row has `id` and `target`.

        An exception says that this batch cannot be done; ImageError with stage and reason.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of analysis.

    name      of its command
    tables    schema of each table that it fills, by folder; the first one names its home, so that
              no two kinds have it in common
    settings  what decides the rows, as JSON: where they differ from those of the rows that are
              there, the analysis is refused
    make      makes its analyst for a device (`cpu`, `cuda`); travels to the workers
    others    URIs of further runs that it reads
    pixels    whether it needs the images themselves
    batch     images that its analyst sees at once, by device
    """

    name: str
    tables: Mapping[str, pa.Schema]
    settings: Mapping[str, Any]
    make: Callable[[str], Analyst]
    others: tuple[str, ...] = ()
    pixels: bool = True
    batch: Mapping[str, int] = field(default_factory=lambda: {"cpu": 8, "cuda": 32})

    @property
    def layout(self) -> Layout:
        """Where its things lie."""
        return derived(*self.tables)
