"""What is certified of every mask: an analysis of a run, and the schema of its table."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import pyarrow as pa

from inr_core import metrics
from pipeline.analysis import Kind
from pipeline.certificates.certifier import Certifier, Sampling
from pipeline.certificates.config import CertificateConfig
from pipeline.results import model_of
from pipeline.store import derived
from pipeline.tables import RunReader

CERTIFICATES = pa.schema(
    [
        ("id", pa.string()),
        ("target", pa.int64()),
        ("restart", pa.int32()),  # the best one of the image
        ("round", pa.int32()),
        ("area", pa.float64()),
        ("predicted", pa.int64()),  # with the mask alone shown
        ("predicted_name", pa.string()),
        ("certified", pa.float64()),  # share of samples in which this prediction stays
        ("radius", pa.int32()),  # patches that are revealed, at the most
        ("samples", pa.int32()),
    ]
)
LAYOUT = derived("certificates")


def certificates_of(
    run: RunReader, config: CertificateConfig | None = None, *, weights: str | None = None
) -> Kind:
    """Certificates of the masks of a run.

    weights  state dict of the run's classifier, if it has moved
    RequestError if the classifier is not the run's.
    """
    config = config or CertificateConfig()
    sampling = Sampling(
        radius=config.radius,
        patches=config.patches,
        samples=metrics.sample_count(config.error, config.doubt),
        seed=config.seed,
    )
    return Kind(
        name="certify",
        tables={"certificates": CERTIFICATES},
        settings=asdict(config),
        make=partial(Certifier, model_of(run, weights), sampling),
    )
