"""The command: every section, a line each, and all figures in a file."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.benchmark.gpu_check.classifiers import classifiers
from pipeline.benchmark.gpu_check.exhaustion import captures, exhaustion
from pipeline.benchmark.gpu_check.machine import machine
from pipeline.benchmark.gpu_check.memory import memory
from pipeline.benchmark.gpu_check.methods import combinations, graphs, steady
from pipeline.benchmark.gpu_check.sections import Place, Section, run_sections
from pipeline.benchmark.gpu_check.speed import end_to_end, speed

SECTIONS: dict[str, Section] = {
    "machine": machine,
    "graphs": graphs,
    "classifiers": classifiers,
    "combinations": combinations,
    "steady": steady,
    "speed mobilenet_v2": lambda place, found: speed(place, found, "mobilenet_v2", 0.90),
    "end to end": end_to_end,
    "speed resnet50": lambda place, found: speed(place, found, "resnet50", 0.95),
    "memory": memory,
    "exhaustion": exhaustion,
    "captures": captures,
}
BUDGET_S = 480.0  # no section begins later, so that all is done within ten minutes


def main(given: Sequence[str] | None = None) -> int:
    """Exit code 0 if no section has failed, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.benchmark.gpu_check",
        description="Checks and times everything that only a GPU can show.",
    )
    parser.add_argument("--json", type=Path, help="file for all figures, rewritten as they come")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that it runs, no figures")
    parser.add_argument("--only", action="append", choices=tuple(SECTIONS), help="repeatable")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds until the last one")
    options = parser.parse_args(given)
    chosen = {name: SECTIONS[name] for name in options.only or SECTIONS}
    with tempfile.TemporaryDirectory(prefix="xaipipe-") as folder:
        place = Place(device=options.device, quick=options.quick, folder=Path(folder))

        def write(results: dict[str, object]) -> None:
            if options.json is not None:
                options.json.write_text(json.dumps(results, indent=1) + "\n")

        results = run_sections(chosen, place, options.budget, write)
    return int(any(result["state"] == "FAIL" for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
