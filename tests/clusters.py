"""For tests of clusters: one on this machine, its processes, and a node that is told to go."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray

from pipeline.run.cluster.access import private_cluster


def family(pid: int) -> set[int]:
    """A process and all that it has started, as far as they live."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found & {pid, *parents}


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def cluster(monkeypatch: pytest.MonkeyPatch, **head: Any) -> Iterator[Any]:
    """A cluster of nodes on this machine, with a token; its processes end with it."""
    from ray.cluster_utils import Cluster

    with private_cluster():
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **head})
        token = os.environ["RAY_AUTH_TOKEN"]
        with monkeypatch.context() as environment:
            environment.setenv("RAY_AUTH_TOKEN", token)
            try:
                yield found
            finally:
                found.shutdown()


def drain(address: str, node: str, seconds: float) -> None:
    """Tell Ray that a node goes in so many seconds."""
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline = int(1000 * (time.time() + seconds))
    accepted, why = ray._raylet.GcsClient(address=address).drain_node(node, reason, "", deadline)
    assert accepted, why
