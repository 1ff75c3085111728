"""From a run to its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from pipeline.report.examples import examples
from pipeline.report.measured import measured
from pipeline.report.page import Content, page
from pipeline.report.settings import facts, images, settings
from pipeline.report.totals import totals
from pipeline.run import Status
from pipeline.tables import RunReader


def report_html(
    reader: RunReader, *, pictures: int, metrics: str | None, meanings: Mapping[str, str]
) -> str:
    """The page of a run as text.

    pictures  images to draw; metrics: a file of `evaluate`, meanings: what to show of it, with a
              word for each
    """
    found = measured(reader, metrics, list(meanings)) if metrics is not None else None
    name, fingerprint = PurePosixPath(reader.store.uri).name, reader.fingerprint
    status = Status.of(reader.folder)
    sums = totals(reader)
    return page(
        Content(
            title=f"{name}: {fingerprint['method']} on {fingerprint['model']}",
            images=images(status),
            facts=facts(reader, status),
            settings=list(settings(fingerprint)),
            totals=sums,
            failures=reader.failure_reasons(),
            examples=list(examples(reader, sums.ranking, pictures)),
            measured=found,
            meanings=meanings,
        )
    )
