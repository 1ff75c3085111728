"""For tests of runs: a request of a GPU."""

import pytest

from pipeline import Request, load_job
from pipeline.shapes import write_dataset


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
