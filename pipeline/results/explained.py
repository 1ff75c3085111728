"""The classifier that a run explained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from inr_core import Head
from pipeline.classifiers import Classifier, load_classifier
from pipeline.errors import RequestError
from pipeline.tables import RunReader, stored_labels


@dataclass(frozen=True, slots=True)
class Model:
    """A classifier by its names; travels to the workers.

    labels  names of its classes in place of its own
    digest  of the weights that it must have; None: whatever it has
    run     whose classifier it is, for messages
    """

    spec: str
    weights: str | None = None
    preprocess: str | None = None
    digest: str | None = None
    run: str = ""
    head: Head = "softmax"
    labels: tuple[str, ...] | None = None

    def load(self, device: str = "cpu") -> Classifier:
        """The classifier in full precision; RequestError if its weights are others."""
        given = self.spec, self.weights, self.preprocess
        classifier = _loaded(*given, device, self.head, self.labels)
        if self.digest not in (None, classifier.digest):
            raise RequestError(
                f"{self.run}: was made with other weights of {self.spec} than those of "
                f"{self.weights or 'the model'}; name the right file with --weights"
            )
        return classifier


@lru_cache(maxsize=3)  # run's, judge's, copy's: who checks and who works may be one process
def _loaded(
    spec: str,
    weights: str | None,
    preprocess: str | None,
    device: str,
    head: Head,
    labels: tuple[str, ...] | None,
) -> Classifier:
    return load_classifier(
        spec,
        weights=weights,
        preprocess=preprocess,
        device=device,
        precision="fp32",
        head=head,
        labels=labels,
    )


def model_of(reader: RunReader, weights: str | None = None) -> Model:
    """The classifier of a run; `weights` if its file has moved."""
    job = reader.folder.plans()[-1]["job"]
    return Model(
        job["model"],
        weights or job["weights"],
        job["preprocess"],
        reader.fingerprint["weights"],
        reader.store.uri,
        head_of(reader),
        stored_labels(reader.store) if reader.fingerprint.get("labels") else None,
    )


def head_of(reader: RunReader) -> Head:
    """What the scores of a run are."""
    return "sigmoid" if reader.fingerprint.get("head") == "sigmoid" else "softmax"
