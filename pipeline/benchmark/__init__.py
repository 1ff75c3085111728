"""Benchmarks: speed beside the bare classifier, and the scheduler with workers that only sleep."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

GENERATED = "generated:"  # the manifest of a job that names none

if TYPE_CHECKING:
    from pipeline.benchmark.measure import Benchmark, benchmark
    from pipeline.benchmark.moment import Moment
    from pipeline.benchmark.planning import Planning, measure_planning
    from pipeline.benchmark.simulated import Simulated, SimulationConfig
    from pipeline.benchmark.simulation import simulate
else:
    __getattr__, __dir__ = lazy(__name__)
