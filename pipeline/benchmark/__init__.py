"""`xaipipe benchmark`: how fast the method is against the bare classifier, and where time goes."""

from pipeline.benchmark.measure import GENERATED, Benchmark, benchmark

__all__ = ["GENERATED", "Benchmark", "benchmark"]
