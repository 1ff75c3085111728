"""The nodes of the cluster: which are about to go, and what they lack."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import ray

RAY: Any = ray  # which has types for some of its functions only
LOOK_S = 1.0  # between two looks at what is draining


class Draining:
    """Nodes of which Ray has been told that they go: spot nodes, nodes that are scaled away.

    A node that was draining once stays in it; what dies there is nobody's fault.
    """

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self.next = 0.0

    def look(self, *, now: bool = False) -> None:
        """Ask Ray again, if the last time is a while ago or `now`."""
        if now or time.monotonic() >= self.next:
            self.next = time.monotonic() + LOOK_S
            with suppress(Exception):  # private: another release of Ray may not have it
                from ray._private.state import state

                self.nodes |= state.get_draining_nodes().keys()

    def __contains__(self, node: str | None) -> bool:
        return node in self.nodes


def dead_end() -> str | None:
    """Why no worker can ever start again: the driver's own node is dead; None where it lives."""
    here = ray.get_runtime_context().get_node_id()
    alive = [node["Alive"] for node in RAY.nodes() if node["NodeID"] == here]
    if alive and not any(alive):
        return "Ray's process on this machine has died (raylet; out of memory, or killed)"
    return None


def there(gpu: float) -> int:
    """Workers with so much of a GPU each that the nodes have room for, busy or not."""
    alive = (node["Resources"].get("GPU", 0) for node in RAY.nodes() if node["Alive"])
    return sum(int(gpus / gpu) for gpus in alive)


def missing(workers: int, gpu: float) -> str:
    """What was asked of Ray, what there is, and what is on its way.

    gpu  of each worker
    """
    each = f"1 CPU and {gpu:g} GPU" if gpu else "1 CPU"
    nodes = [node for node in RAY.nodes() if node["Alive"]]
    return (
        f"asked for {workers} worker{'s' * (workers > 1)} with {each} each; there: "
        f"{_amounts(RAY.cluster_resources())} on {len(nodes)} node{'s' * (len(nodes) != 1)}, "
        f"free: {_amounts(RAY.available_resources())}; pending: {_pending()}"
    )


def _amounts(resources: dict[str, float]) -> str:
    return " and ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))


def _pending() -> str:
    """Nodes that the autoscaler is starting or could not start."""
    try:
        from ray.autoscaler.v2.sdk import get_cluster_status

        status: Any = get_cluster_status(ray.get_runtime_context().gcs_address)
        found = [f"{node.ray_node_type_name} ({node.node_status})" for node in status.pending_nodes]
        for what, launches in (
            ("asked for", status.pending_launches),
            ("could not be started", status.failed_launches),
        ):
            found += [f"{one.count} x {one.ray_node_type_name} {what}" for one in launches]
    except Exception:  # not public: another release of Ray may not have it
        return "unknown (see `ray status`)"
    return ", ".join(found) or "no node"
