"""For tests of runs: generated images, their scores, and a request of a GPU."""

import pytest
import torch

from pipeline import Request, load_job
from pipeline.images import load_image
from pipeline.run.worker import ShardWorker
from pipeline.shapes import write_dataset
from tests.shards import refs_of, spec_of


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A manifest of four generated images."""
    return write_dataset(tmp_path_factory.mktemp("shapes"), 4, 0)


@pytest.fixture(scope="module")
def scores(dataset):
    """Scores of all classes of these images, by id."""
    worker = ShardWorker(spec_of(dataset))
    found = {}
    for ref in refs_of(dataset):
        image = load_image(ref.image, worker.classifier.preprocess).pixels[None]
        with torch.no_grad():
            found[ref.id] = worker.classifier.classify(image).softmax(1)[0].tolist()
    return found


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """The address of a manifest of six generated images."""
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 6, 0))


@pytest.fixture
def request_on_gpu(tmp_path):
    """Makes a request as on a machine with a GPU, of one generated image."""
    manifest = str(write_dataset(tmp_path / "data", 1, 0))
    given = {"manifest": manifest, "model": "builtin:shapes", "workers": 0}

    def make(**changes):
        request = Request(load_job(None, {**given, **changes}))
        request.device = "cuda"
        return request

    return make
