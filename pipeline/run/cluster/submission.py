"""A run as a job of a Ray cluster, whose driver runs there."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import RequestError, RunError
from pipeline.job import Job

POLL_S = 1.0
LOCAL = ("manifest", "out", "root", "weights", "baseline")  # keys that may name local paths


class Submission:
    """A submitted job; `name` is what the cluster calls it.

    Raises RequestError where no cluster answers at the job's address, or wants another token.
    """

    def __init__(self, job: Job) -> None:
        if job.address is None:
            raise RequestError("submit: give the cluster's address, --address http://HEAD:8265")
        self.client = _client(job.address)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "job.yaml").write_text(yaml.safe_dump(job_file(job)))
            self.name: str = self.client.submit_job(
                entrypoint="xaipipe run --config job.yaml", runtime_env={"working_dir": folder}
            )

    def follow(self, write: Callable[[str], None]) -> int:
        """Write the job's output as it comes; returns its driver's exit code."""
        printed = 0
        while True:
            done = self.client.get_job_status(self.name).is_terminal()
            logs = self.client.get_job_logs(self.name)
            write(logs[printed:])
            printed = len(logs)
            if done:
                break
            time.sleep(POLL_S)
        info = self.client.get_job_info(self.name)
        if info.driver_exit_code is None:
            raise RunError(f"{self.name}: {info.status.value.lower()}: {info.message}")
        return int(info.driver_exit_code)


def job_file(job: Job) -> dict[str, Any]:
    """The job as its driver on the cluster reads it: absolute paths, the cluster it runs on."""
    data = {key: value for key, value in job.resolved().items() if value is not None}
    for key in LOCAL:
        if key in data and "://" not in data[key]:
            data[key] = os.path.abspath(data[key])
    return {**data, "address": "auto"}


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError  # heavy, and needed here only
    from ray.job_submission import JobSubmissionClient

    from pipeline.run.cluster.access import no_token, users_cluster

    logging.getLogger("ray").setLevel(logging.WARNING)  # not a line per upload
    try:
        with users_cluster():
            return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise no_token(address) from error
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, those of requests
        raise RequestError(
            f"--address {address}: no Ray cluster answers there ({error}); expected the address of "
            "its dashboard, http://HEAD:8265"
        ) from error
