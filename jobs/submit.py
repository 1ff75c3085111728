"""`xaipipe submit`: the same run as a Ray job on a cluster."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from jobs.options import takes_job
from pipeline import Job, RequestError, RunError

POLL_S = 1.0
LOCAL = ("manifest", "out", "root", "weights", "baseline")  # keys that may name local paths


@takes_job
def submit(
    job: Job,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the job and exit with its exit code.")
    ] = False,
) -> None:
    """Start the same run as a Ray job; --address is the cluster's dashboard, http://HEAD:8265.

    The job's driver runs on the cluster, where xaipipe must be installed; manifest, weights and
    output must be reachable from there (a shared disk or URLs).
    """
    if job.address is None:
        raise RequestError("submit: give the cluster's address, --address http://HEAD:8265")
    client = _client(job.address)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.yaml").write_text(yaml.safe_dump(job_file(job)))
        name = client.submit_job(
            entrypoint="xaipipe run --config job.yaml", runtime_env={"working_dir": folder}
        )
    console = Console()
    console.print(f"submitted {name} to {job.address}", highlight=False)
    progress = f"progress: xaipipe status {job.out}"
    if not wait:
        console.print(progress, highlight=False)
        return
    try:
        raise typer.Exit(follow(client, name, console))
    except KeyboardInterrupt:
        console.print(f"no longer following; the job goes on, {progress}", highlight=False)
        raise typer.Exit(130) from None


def job_file(job: Job) -> dict[str, Any]:
    """The job as its driver on the cluster reads it: absolute paths, the cluster it runs on."""
    data = {key: value for key, value in job.resolved().items() if value is not None}
    for key in LOCAL:
        if key in data and "://" not in data[key]:
            data[key] = os.path.abspath(data[key])
    return {**data, "address": "auto"}


def follow(client: Any, name: str, console: Console) -> int:
    """Print the job's output as it comes; returns its driver's exit code."""
    printed = 0
    while True:
        done = client.get_job_status(name).is_terminal()
        logs = client.get_job_logs(name)
        console.out(logs[printed:], end="", highlight=False)
        printed = len(logs)
        if done:
            break
        time.sleep(POLL_S)
    info = client.get_job_info(name)
    if info.driver_exit_code is None:
        raise RunError(f"{name}: {info.status.value.lower()}: {info.message}")
    return int(info.driver_exit_code)


def _client(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient  # heavy, and needed here only

    logging.getLogger("ray").setLevel(logging.WARNING)  # not a line per upload
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RequestError(
            f"--address {address}: no Ray cluster answers there ({error}); expected the address of "
            "its dashboard, http://HEAD:8265"
        ) from error
