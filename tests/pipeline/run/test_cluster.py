"""Clusters: who may join them, and that a killed driver leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray

from pipeline import RequestError
from pipeline.run.cluster import ray_for
from tests.clusters import alive, cluster, family

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
