"""A turn of the benchmark: the loop, bare passes and the peer on one batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pipeline.benchmark.loop import Batch, Loop
from pipeline.benchmark.passes import BarePasses, Seconds, timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One batch: what it took in the loop, bare, and with the peer if there is one."""

    device: str
    images: int
    passes: int
    forward_only: int
    loop: Seconds
    bare: Seconds
    peer: Seconds | None

    def rates(self) -> dict[str, float]:
        """The turn's value of every name."""
        rates = {
            "bare_passes_per_s": self.passes / self.bare.wall,
            "loop_passes_per_s": self.passes / self.loop.wall,
            "loop_ratio": self.bare.wall / self.loop.wall,
            "loop_images_per_s": self.images / self.loop.wall,
        }
        if self.device == "cpu":
            rates["loop_ratio_cpu"] = self.bare.cpu / self.loop.cpu
        if self.peer is not None:
            rates["against_images_per_s"] = self.images / self.peer.wall
            rates["against_ratio"] = self.peer.wall / self.loop.wall
        return rates


def take_turn(loop: Loop, peer: Loop | None, batch: Batch) -> Turn:
    """Time a batch in the loop, then as many bare passes, then the batch with the peer."""
    device, counter = loop.worker.classifier.device, loop.counter
    seen = loop.calls(batch) if device.type == "cuda" else None  # a graph's replays are not seen
    loop_took = timed(partial(loop, batch), device)
    calls = seen or counter.take()
    bare_took = timed(BarePasses(counter.module, calls, batch.image_BCHW), device)
    peer_took = None
    if peer is not None:
        peer_took = timed(partial(peer, batch), device)
        counter.take()
    return Turn(
        device=device.type,
        images=len(batch.ids),
        passes=sum(calls.of_passes),
        forward_only=sum(calls.forward_only) if calls.with_gradient else 0,
        loop=loop_took,
        bare=bare_took,
        peer=peer_took,
    )
