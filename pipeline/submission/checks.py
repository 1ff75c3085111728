"""What can be wrong with a job, looked at before it is sent, as far as it can be seen from here."""

from __future__ import annotations

from pipeline.classifiers import Classifier, check_weights, one_thread
from pipeline.errors import RequestError
from pipeline.job import Job
from pipeline.manifest import Manifest
from pipeline.paths import all_redacted
from pipeline.run import classifier_of, manifest_of
from pipeline.run.cluster import is_there
from pipeline.starts import read_start
from pipeline.submission.files import is_local, local_inputs, manifests, model_path

GLOB = "*?["


def check_here(job: Job) -> Manifest | None:
    """RequestError where something is missing or does not fit; what URLs hold is looked at there.

    The classifier is loaded where all of it is on this machine, and with its classes the manifest
    is read if that is here, too; it is returned.
    """
    if job.out is None:
        raise RequestError("nowhere to write: give --out FOLDER or URL, or `out:` in the job file")
    _refuse_secrets(job)
    for one in local_inputs(job):
        pattern = one.key == "manifest" and any(sign in str(one.path) for sign in GLOB)
        if not one.path.exists() and not pattern:
            raise RequestError(
                f"{one.flag} {one.path}: there is no such file on this machine; expected one, "
                "or a URL that the cluster can read"
            )
    if job.weights is not None:
        check_weights(job.weights)
    if job.start_file is not None and is_local(job.start_file):
        read_start(job.start_file)
    classifier = _classifier(job)
    if classifier is None or not all(map(is_local, manifests(job))):
        return None
    manifest = manifest_of(job, classifier)
    manifest.check()
    return manifest


def _classifier(job: Job) -> Classifier | None:
    """The classifier, if nothing has to be downloaded for it and its code is here."""
    kind, _, name = job.model.partition(":")
    if kind == "python" and not is_there(name):
        return None
    here = kind in ("builtin", "python") or model_path(job.model) is not None
    if job.weights is not None:
        here = is_local(job.weights)
    if not here:
        return None
    with one_thread():
        return classifier_of(job)


def _refuse_secrets(job: Job) -> None:
    data = job.resolved()
    for key, shown in all_redacted(data).items():
        if shown != data[key]:
            raise RequestError(
                f"{key}: {shown}: its credentials would be sent with the job, where others can "
                "read them; leave them out, and let the cluster have its own (environment "
                "variables or a role of its machines)"
            )
