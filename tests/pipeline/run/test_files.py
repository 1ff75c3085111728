"""What reaches workers on other nodes: files, read once, and the code of a classifier."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from pipeline.run import Workers
from pipeline.run.cluster import ray_for
from pipeline.run.scheduler import run_on_ray
from tests.clusters import cluster
from tests.shards import ones

ROOT = Path(__file__).parents[3]


def with_files(name, files=None):
    """A worker whose notes say what it was given, where it is, and which process it is."""
    import fsspec
    import ray

    from pipeline.benchmark.sleeper import Sleeper

    found = {uri: fsspec.open(place, "rb").open().read() for uri, place in (files or {}).items()}
    worker = Sleeper(0.2, name)
    node = ray.get_runtime_context().get_node_id()
    worker.notes = tuple(
        f"{node} {uri} {len(data)} {place}"
        for (uri, data), place in zip(found.items(), (files or {}).values(), strict=True)
    )
    return worker


@pytest.mark.slow
@pytest.mark.long
def test_files_are_read_once_and_reach_eight_workers_on_two_nodes(monkeypatch, tmp_path):
    """By the counts of a server: one request, whatever the number of workers."""
    from tests.counting import counting_server

    data = os.urandom(3_000_000)
    with counting_server({"/w.pth": data}) as (url, requests):
        with cluster(monkeypatch, num_cpus=4) as found, ray_for(8, "cpu", found.address):
            found.add_node(num_cpus=4)
            uri = f"{url}/w.pth"
            workers = Workers(make=with_files, count=8, device="cpu", files=(uri,))
            notes = []
            shards = (one for one in ones(5000) if len(notes) < 8)  # until all are ready
            for _ in run_on_ray(shards, workers, None, notes.extend, notes.append):
                pass
            nodes = {node["NodeID"] for node in ray.nodes()}
        assert len(notes) == 8 and {note.split()[0] for note in notes} == nodes
        assert all(note.split()[1:3] == [uri, "3000000"] for note in notes)
        assert all(note.endswith("/w.pth") for note in notes)
        assert [path for method, path in requests if method == "GET"] == ["/w.pth"]


CODE = """
import os, sys
from pipeline.run.cluster import ray_for
import ray
with ray_for(1, "cpu", sys.argv[1], code="far_module:build"):
    os.remove("far_module.py"), os.remove("far_part.py")  # as on another machine
    @ray.remote(num_cpus=1, resources={"far": 1})
    def load():
        import far_module
        return far_module.build(), far_module.__file__
    print(*ray.get(load.remote()))
"""


@pytest.mark.slow
@pytest.mark.long
def test_the_code_of_a_classifier_reaches_other_nodes(monkeypatch, tmp_path):
    (tmp_path / "far_module.py").write_text(
        "import far_part\ndef build():\n    return far_part.X\n"
    )
    (tmp_path / "far_part.py").write_text("X = 7\n")
    with cluster(monkeypatch) as found:
        found.add_node(num_cpus=1, resources={"far": 1})
        done = subprocess.run(
            [sys.executable, "-c", CODE, found.address],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    value, file = done.stdout.split()
    assert value == "7" and not file.startswith(str(tmp_path))
