"""Clusters: who may join, nodes that go and come, processes that die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from pipeline import RequestError, RunError
from pipeline.manifest import ImageRef
from pipeline.run import Workers
from pipeline.run.cluster import ray_for
from pipeline.run.scheduler import run_on_ray
from pipeline.tables import Shard
from tests.clusters import alive, cluster, drain, family

JOIN = """
import sys
import ray._raylet
try:
    client = ray._raylet.GcsClient(address=sys.argv[1])
    print("in", client.internal_kv_keys(b"", None, 10) is not None)
except Exception as error:
    print("out", type(error).__name__)
"""


def join(address, **environment):
    """What a process with these variables can do at a cluster's address."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    command = [sys.executable, "-c", JOIN, address]
    done = subprocess.run(command, env=clean | environment, capture_output=True, text=True)
    return done.stdout.strip()


def listening(pids):
    """Addresses on which processes listen."""
    sockets = {s for pid in pids for s in sockets_of(pid)}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in sockets:
                found.add(local.partition(":")[0])
    return found


def sockets_of(pid):
    try:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []
    return [link[8:-1] for link in links if link.startswith("socket:[")]


ROOT = Path(__file__).parents[3]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_nobody_joins_a_local_cluster_without_its_token():
    tokens = []
    for _ in range(2):  # a process can start one after the other
        with ray_for(1, "cpu", None):
            address = ray.get_runtime_context().gcs_address
            tokens.append(os.environ["RAY_AUTH_TOKEN"])
            assert ray.get(ray.remote(lambda: 5).remote()) == 5
            assert join(address, RAY_AUTH_MODE="disabled") == "out AuthenticationError"
            assert join(address) == "out AuthenticationError"
            other = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
            assert join(address, **other) == "out AuthenticationError"
            assert join(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=tokens[-1]) == "in True"
            pids = family(os.getpid())
            assert len(pids) > 4 and listening(pids) and listening(pids) <= LOOPBACK
        assert "RAY_AUTH_TOKEN" not in os.environ
    assert tokens[0] != tokens[1]


def test_a_cluster_with_a_token_is_joined_with_it_and_refused_without(monkeypatch):
    with cluster(monkeypatch) as found:
        with ray_for(1, "cpu", found.address):
            assert ray.get(ray.remote(lambda: 5).remote()) == 5
        monkeypatch.delenv("RAY_AUTH_MODE")
        with ray_for(1, "cpu", found.address):  # a token is enough: no mode has to be set
            assert ray.get(ray.remote(lambda: 5).remote()) == 5
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
        with pytest.raises(RequestError, match="wants its token.*RAY_AUTH_TOKEN"):
            with ray_for(1, "cpu", found.address):
                pass


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nonsense", "http://127.0.0.1:8265", "x:y"])
def test_an_address_where_nothing_answers_is_refused(address):
    with pytest.raises(RequestError, match=f"--address {address}: no Ray cluster answers"):
        with ray_for(1, "cpu", address):
            pass


def sleepy(name):
    """A worker that takes half a second for an image, and says on which node it is."""
    import time
    from contextlib import nullcontext
    from dataclasses import replace

    import ray

    from pipeline.benchmark.sleeper import Sleeper

    class Sleepy(Sleeper):
        def __call__(self, shard, turn=None):
            with turn or nullcontext():
                time.sleep(0.5)
                result = super().__call__(shard)
            node = ray.get_runtime_context().get_node_id()
            return replace(result, commit=replace(result.commit, worker=node))

    return Sleepy(0.0, name)


def start(shards, count, timeout=None):
    """A run over shards of one image; its notes."""
    one = (Shard((ImageRef(id=f"{n:03}", image="", target=0, extra={}),)) for n in range(shards))
    workers = Workers(make=sleepy, count=count, device="cpu", timeout=timeout)
    notes = []
    return run_on_ray(one, workers, None, notes.extend, notes.append), notes


@pytest.mark.slow
@pytest.mark.long
def test_a_draining_node_gets_nothing_new_and_its_death_is_nobodys_fault(monkeypatch):
    """Its second shard is lost with it and explained elsewhere, by a node that came later."""
    with cluster(monkeypatch) as found, ray_for(1, "cpu", found.address):
        spot = found.add_node(num_cpus=1)
        results, notes = start(40, 2)
        done, late, removed = [], None, None
        for result in results:
            if result is None:
                continue
            done.append(result.commit)
            if late is None and spot.node_id in {c.worker for c in done}:
                drain(found.address, spot.node_id, 20)
                late = found.add_node(num_cpus=1)
                found.remove_node(spot, allow_graceful=False)  # what it holds is lost
                removed = len(done)
        assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(40)]
        assert not any(c.failed for c in done)
        assert sum(c.worker == spot.node_id for c in done[removed:]) <= 2  # what was on its way
        assert late.node_id in {c.worker for c in done}


@pytest.mark.slow
@pytest.mark.long
def test_what_a_draining_node_still_finishes_counts(monkeypatch):
    with cluster(monkeypatch) as found, ray_for(1, "cpu", found.address):
        spot = found.add_node(num_cpus=1)
        results, notes = start(24, 2)
        done, told = [], None
        for result in results:
            if result is not None:
                done.append(result.commit)
                if told is None and spot.node_id == result.commit.worker:
                    drain(found.address, spot.node_id, 60)
                    told = len(done)
        after = [c.worker for c in done[told:]]
        assert 1 <= after.count(spot.node_id) <= 4  # what it held, and what it got within a second
        assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(24)]
        assert len([note for note in notes if "about to go" in note]) == 1


@pytest.mark.slow
@pytest.mark.long
def test_when_rays_node_dies_the_run_ends_and_says_so():
    with ray_for(1, "cpu", None):
        results, _ = start(10_000, 1)
        while next(results) is None:
            pass
        os.kill(ray._private.worker._global_node.all_processes["raylet"][0].process.pid, 9)
        with pytest.raises(RunError, match="Ray's process on this machine has died"):
            for _ in results:
                pass


DRIVER = """
import ray, time
from pipeline.run.cluster import ray_for
with ray_for(2, "cpu", None):
    work = ray.remote(num_cpus=1)(lambda: time.sleep(600))
    calls = [work.remote(), work.remote()]
    time.sleep(2)
    print("at work", flush=True)
    time.sleep(600)
"""


def test_a_run_whose_driver_is_killed_leaves_no_process_behind():
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "at work\n"
    pids = family(process.pid)
    assert len(pids) > 6
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.2)
    assert not any(map(alive, pids))


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


def ones(count):
    return (Shard((ImageRef(id=f"{n:03}", image="", target=0, extra={}),)) for n in range(count))


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


@pytest.mark.slow
@pytest.mark.long
def test_a_growing_pool_takes_the_gpus_that_come(monkeypatch):
    """None are there at first; then two nodes come, one after the other, and the first goes."""
    counts = []
    with cluster(monkeypatch) as found, ray_for(1, "cuda", found.address, 0.5):
        workers = Workers(make=sleepy, count=1, device="cuda", gpu=0.5, grow=True)
        notes, done, nodes = [], [], []
        results = run_on_ray(ones(60), workers, None, notes.extend, notes.append, counts.append)
        for result in results:
            if result is not None:
                done.append(result.commit)
            if not nodes:
                nodes.append(found.add_node(num_cpus=4, num_gpus=1))
            elif len(nodes) == 1 and len({c.worker for c in done}) == 1 and len(done) > 3:
                nodes.append(found.add_node(num_cpus=4, num_gpus=2))
            elif len(nodes) == 2 and {c.worker for c in done} == {n.node_id for n in nodes}:
                drain(found.address, nodes[0].node_id, 20)
                nodes.append(None)
    assert sorted(i for c in done for i in c.explained) == [f"{n:03}" for n in range(60)]
    assert not any(c.failed for c in done)
    assert counts == [2, 6]
    assert "the cluster has grown: 6 workers" in notes


@pytest.mark.slow
@pytest.mark.long
def test_a_pool_without_a_place_says_what_it_waits_for_and_for_how_long(monkeypatch):
    monkeypatch.setattr("pipeline.run.pool.TELL_S", 1.0)
    with cluster(monkeypatch) as found, ray_for(1, "cuda", found.address):
        workers = Workers(make=sleepy, count=2, device="cuda", gpu=0.5, timeout=4)
        notes = []
        results = run_on_ray(ones(1), workers, None, notes.extend, notes.append)
        asked = "asked for 2 workers with 1 CPU and 0.5 GPU each; there: 1 CPU and 0 GPU on 1 node"
        with pytest.raises(RunError, match=f"no worker has been alive for 4 s: {asked}"):
            list(results)
    assert len(notes) == 1 and asked in notes[0]
    assert "the run ends if there is none within 4 s (--timeout)" in notes[0]


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
