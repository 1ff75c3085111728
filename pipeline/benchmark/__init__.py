"""Benchmarks: speed beside the bare classifier, and the scheduler with workers that only sleep."""

from typing import TYPE_CHECKING

from pipeline.doors import lazy

GENERATED = "generated:"  # the manifest of a job that names none

if TYPE_CHECKING:
    from pipeline.benchmark.clock import clocked
    from pipeline.benchmark.figures import Benchmark
    from pipeline.benchmark.images import generate_images
    from pipeline.benchmark.loop import Batch, Loop, prepared
    from pipeline.benchmark.measure import benchmark
    from pipeline.benchmark.moment import Moment
    from pipeline.benchmark.passes import BarePasses, Calls, PassCounter, peak_memory, timed
    from pipeline.benchmark.planning import Planning, measure_planning
    from pipeline.benchmark.simulated import Simulated, SimulationConfig
    from pipeline.benchmark.simulation import simulate
    from pipeline.benchmark.step_profile import StepParts
else:
    __getattr__, __dir__ = lazy(__name__)
