"""For tests of benchmarks: images to measure with."""

import pytest

from pipeline.shapes import write_dataset


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Three generated images."""
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 3, 0))
