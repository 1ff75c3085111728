"""A Prefect flow: run, then the report for the next morning.

    pip install prefect xaipipe
    python deploy/prefect/nightly.py JOB.yaml              # every night, never two at a time
    python deploy/prefect/nightly.py JOB.yaml --once       # now

The job file says where: GPUs of this machine, or `address: auto` on a node of a Ray cluster.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import yaml
from prefect import flow, task

GOOD, FAILURES, WRONG = 0, 3, 2  # exit codes of `xaipipe run`


def may_pass(task: Any, run: Any, state: Any) -> bool:
    """Whether another try makes sense: not for a wrong request."""
    return not isinstance(state.result(raise_on_failure=False), ValueError)


@task(retries=3, retry_delay_seconds=300, retry_condition_fn=may_pass, log_prints=True)
def explain(config: Path) -> int:
    """Exit code 0 or 3 of the run; another try goes on where the last one stopped.

    Raises ValueError for a wrong request, RuntimeError for a run that was stopped.
    """
    code = xaipipe("run", "--config", str(config))
    if code == WRONG:
        raise ValueError(f"{config}: a wrong request, see the log")
    if code not in (GOOD, FAILURES):
        raise RuntimeError(f"xaipipe run ended with exit code {code}")
    return code


@task(log_prints=True)
def report(out: str, page: Path) -> None:
    """The page of everything explained so far. Raises RuntimeError if it cannot be written."""
    code = xaipipe("report", out, "--to", str(page))
    if code != GOOD:
        raise RuntimeError(f"xaipipe report ended with exit code {code}")


def xaipipe(*arguments: str) -> int:
    """The exit code of a command, whose output goes to the flow's log."""
    command = ["xaipipe", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line.rstrip())
    return process.returncode


@flow(name="xaipipe nightly", log_prints=True)
def nightly(config: str) -> None:
    """Explain what is new and write the page; fails if images failed, after the page is written."""
    file = Path(config)
    out = yaml.safe_load(file.read_text())["out"]
    code = explain(file)
    report(out, Path(f"{file.stem}.html"))
    if code == FAILURES:
        raise RuntimeError(f"finished, but images failed: xaipipe status {out}")


def main() -> None:
    """Serve the flow every night, or run it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="job file")
    parser.add_argument("--once", action="store_true", help="now, without a schedule")
    given = parser.parse_args()
    config = {"config": str(Path(given.config).resolve())}
    if given.once:
        nightly(**config)
    else:
        nightly.serve(name="nightly", parameters=config, cron="0 1 * * *", global_limit=1)


if __name__ == "__main__":
    main()
