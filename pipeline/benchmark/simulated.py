"""What a simulated run is asked for, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationConfig:
    """images   of each worker
    seconds     that a worker sleeps for an image
    shard_size  images of a shard
    """

    images: int = 1280
    seconds: float = 0.02
    shard_size: int = 256

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.shard_size < 1 or self.images < 2 * self.shard_size:
            raise RequestError(
                f"{self.images} images of {self.seconds} s in shards of {self.shard_size}; expected"
                " no negative time, and two shards a worker at least"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One simulated run.

    workers        each with one GPU, as Ray believes
    images         in all
    steady         images/s between each worker's first and last commit, summed over workers
    whole          images/s of the whole run: start and end of Ray and of the workers included
    ideal          images/s if nothing but the sleep took time
    ramp_up        seconds until every worker had a shard committed
    driver_cpu     of the driver's process, in cores, over the whole run
    memory_first   bytes of the driver's process (`private_memory`) after the first commit
    memory_peak    and the most after any commit
    """

    workers: int
    images: int
    steady: float
    whole: float
    ideal: float
    ramp_up: float
    driver_cpu: float
    memory_first: int
    memory_peak: int
