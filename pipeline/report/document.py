"""From a run to its page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.certificates import by_area
from pipeline.paths import all_redacted
from pipeline.regions import context_by_class
from pipeline.report.cards import Cards, cards
from pipeline.report.changes import changes
from pipeline.report.comparison import comparisons
from pipeline.report.failures import Failures
from pipeline.report.measured import measured
from pipeline.report.page import Content, page
from pipeline.report.patterns import CueList, cue_list, regions
from pipeline.report.sample import Sample, sample
from pipeline.report.settings import facts, images, settings
from pipeline.report.strips import CELL, grid
from pipeline.report.totals import totals
from pipeline.results import Originals
from pipeline.run import Status
from pipeline.tables import RunReader


def report_html(
    reader: RunReader,
    *,
    pictures: int,
    metrics: str | None,
    meanings: Mapping[str, str],
    against: Mapping[str, RunReader] | None = None,
    root: str | None = None,
) -> str:
    """The page of a run as text.

    pictures  images of the gallery, at the most
    metrics   a file of `evaluate`; meanings: what to show of it, with a word for each
    against   runs to hold against this one, by name
    root      where the images are now, if they have moved
    """
    others = against or {}
    found = measured(reader, metrics, list(meanings)) if metrics is not None else None
    name, fingerprint = PurePosixPath(reader.store.uri).name, reader.fingerprint
    status, sums, cues = Status.of(reader.folder), totals(reader), cue_list(reader)
    failures = Failures.of(reader)
    chosen = sample(sums.ranking, pictures, cues.examples() if cues else ())
    drawn = cards(
        reader,
        chosen,
        others=others,
        regions=regions(reader, [id_ for id_, _ in chosen.why]),
        originals=Originals(root),
    )
    return page(
        Content(
            title=f"{name}: {fingerprint['method']} on {fingerprint['model']}",
            uri=reader.store.uri,
            images=images(status),
            facts=facts(reader, status),
            settings=list(settings(fingerprint)),
            totals=sums,
            cues=cues,
            context=context_by_class(reader),
            comparisons=comparisons(reader, others),
            changes=changes(reader, others),
            measured=found,
            certificates=by_area(reader),
            meanings=meanings,
            failures=failures,
            sampling=sampling(chosen, drawn),
            lost=drawn.lost,
            data=_data(reader, sums.middle, drawn, failures, cues),
        )
    )


def sampling(chosen: Sample, drawn: Cards) -> str:
    """Which images of the run are shown, in sentences."""
    shown = f"{len(drawn.drawn):,} of {chosen.total:,} images"
    text = f"All {chosen.total:,} images." if len(drawn.drawn) == chosen.total else f"{shown}."
    reasons = set(chosen.why.values())
    if reasons - {"all"}:
        parts = {
            "pattern": "examples of the patterns",
            "lowest": "those whose masks keep least",
            "highest": "those whose masks keep most",
            "spread": "and of the others, ordered by class and score kept, every n-th",
        }
        text = f"{shown}: {', '.join(parts[name] for name in parts if name in reasons)}."
    if drawn.left_out:
        text += f" The last {drawn.left_out} that were chosen found no room on the page."
    return text


def _data(
    reader: RunReader, middle: float, drawn: Cards, failures: Failures, cues: CueList | None
) -> dict[str, Any]:
    """What the page's script works with."""
    same = json.dumps(all_redacted([reader.store.uri, reader.fingerprint]), sort_keys=True)
    patterns = [row for _, rows in (cues.classes if cues else ()) for row in rows]
    return {
        "key": f"xaipipe-{hashlib.sha256(same.encode()).hexdigest()[:16]}",
        "areas": grid(reader),
        "area": middle,
        "cell": CELL,
        "cards": drawn.drawn,
        "failures": failures.cards,
        "patterns": [
            {name: row[name] for name in ("target", "target_name", "pattern", "examples")}
            for row in patterns
        ],
        "reviews": [
            row | {"reviewed": row["reviewed"].isoformat()}
            for row in reader.reviews.to_table().to_pylist()
        ],
    }
