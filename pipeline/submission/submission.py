"""A run as a job of a Ray cluster, whose driver runs there."""

from __future__ import annotations

import logging
import os
import shlex
import time
import uuid
from collections.abc import Callable
from typing import Any

from pipeline.errors import RequestError, RunError
from pipeline.job import Job
from pipeline.run import SUBMISSION, Summary
from pipeline.run.cluster import MODE, has_token, no_token, users_cluster
from pipeline.store import RunFolder, Store
from pipeline.submission.package import JOB_FILE, Package

UPLOADS = "ray.dashboard.modules.dashboard_sdk"  # which logs a line for each
POLL_S = 1.0
SILENT_S = 120.0  # without an answer of the cluster, after which it is given up
STOP_S = 60  # for a driver that is told to stop to end as after Ctrl-C; Ray's own: 3


class Submission:
    """A submitted job; `name` is what the cluster calls it.

    log_format  of what it prints
    Raises RequestError where no cluster answers at the job's address, or wants another token.
    """

    def __init__(self, job: Job, package: Package, *, log_format: str = "text") -> None:
        self.job, self.address = job, dashboard(job.address)
        self.client = _client(self.address)
        self.name = f"xaipipe-{uuid.uuid4().hex[:12]}"
        command = ["xaipipe", "run", "--config", JOB_FILE, "--log-format", log_format]
        variables = {SUBMISSION: self.name, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
        self.client.submit_job(
            entrypoint=shlex.join(command),
            submission_id=self.name,
            runtime_env={"working_dir": str(package.folder), "env_vars": variables},
        )

    def command(self, verb: str, *options: str) -> str:
        """Ray's own command about this job, as it can be pasted into a shell."""
        words = ["ray", "job", verb, self.name, *options, "--address", self.address]
        return f"{MODE}=token " * (has_token() and MODE not in os.environ) + shlex.join(words)

    def follow(self, write: Callable[[str], None]) -> int:
        """Write the job's output as it comes; returns the exit code of its run.

        That is the one of the run's own summary where it can be read from here: what Ray says of a
        job is lost, or wrong, after its head has been replaced. RunError where nobody knows it.
        """
        printed, heard, ended = 0, time.monotonic(), False
        while not ended and time.monotonic() - heard < SILENT_S:
            try:
                ended = self.client.get_job_status(self.name).is_terminal()
                logs = self.client.get_job_logs(self.name)
            except Exception:  # of requests, of Ray: the head may be away for a while
                ended = self._summary() is not None
            else:
                write(logs[printed:])
                printed, heard = len(logs), time.monotonic()
            if not ended:
                time.sleep(POLL_S)
        return self._exit_code()

    def _exit_code(self) -> int:
        summary = self._summary()
        if summary is not None:
            return summary.exit_code(self.job.accept_failures)
        try:
            info = self.client.get_job_info(self.name)
        except Exception as error:
            raise RunError(
                f"{self.name}: the cluster has not answered for {SILENT_S:.0f} s, and the run has "
                f"written no summary to {self.job.out}: {error}"
            ) from error
        if info.driver_exit_code is not None and info.driver_exit_code >= 0:
            return int(info.driver_exit_code)
        raise RunError(f"{self.name}: {info.status.value.lower()}: {info.message}")

    def _summary(self) -> Summary | None:
        """What the run itself says of its end; None where it has not, or cannot be read here."""
        try:
            found = RunFolder(Store(str(self.job.out))).summary() or {}
            if found.pop("submission", None) != self.name:
                return None
            return Summary(**{**found, "notes": tuple(found["notes"])})
        except Exception:  # every store raises its own
            return None


def dashboard(address: str | None) -> str:
    """`http://HOST:PORT` of an address with or without a scheme."""
    if address is None:
        raise RequestError(
            "submit: give the cluster's address, that of its dashboard: --address HOST:8265"
        )
    return address if "://" in address else f"http://{address}"


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError  # heavy, and needed here only
    from ray.job_submission import JobSubmissionClient

    logging.getLogger(UPLOADS).setLevel(logging.WARNING)
    try:
        with users_cluster():
            return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise no_token(address) from error
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, those of requests
        raise RequestError(
            f"--address {address}: no Ray cluster answers there ({error}); expected the address of "
            "its dashboard, HOST:8265 or http://HOST:8265"
        ) from error
