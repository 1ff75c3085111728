"""The classifier that a run explained."""

from __future__ import annotations

from pipeline.classifiers import Classifier, load_classifier
from pipeline.errors import RequestError
from pipeline.tables import RunReader


def classifier_of(reader: RunReader, weights: str | None = None) -> Classifier:
    """The classifier that a run explained; RequestError if its weights have changed."""
    job = reader.folder.plans()[-1]["job"]
    classifier = load_classifier(
        job["model"], weights=weights or job["weights"], preprocess=job["preprocess"]
    )
    if classifier.digest != reader.fingerprint["weights"]:
        raise RequestError(
            f"{reader.store.uri}: was made with other weights of {job['model']} than those of "
            f"{weights or job['weights'] or 'the model'}; name the right file with --weights"
        )
    return classifier
