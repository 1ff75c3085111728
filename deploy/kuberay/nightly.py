"""Submit a RayJob, wait for its end, and exit with the exit code of its run.

The container of cronjob.yaml runs it. Kubernetes' `concurrencyPolicy: Forbid` counts Jobs, so the
Job must last as long as the run: creating the RayJob and leaving would forbid nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ENDED = ("Complete", "Failed")  # of status.jobDeploymentStatus
PATIENCE = 20  # polls in a row without an answer


class RayJobs:
    """The RayJobs of a namespace, in the API of Kubernetes."""

    def __init__(self, server: str, account: Path) -> None:
        namespace = (account / "namespace").read_text().strip()
        self.url = f"{server}/apis/ray.io/v1/namespaces/{namespace}/rayjobs"
        self.account = account
        self.tls = None
        if server.startswith("https"):
            self.tls = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def create(self, rayjob: dict[str, Any]) -> None:
        self._ask("POST", self.url, rayjob)

    def get(self, name: str) -> dict[str, Any] | None:
        """The RayJob; None if there is none of this name."""
        try:
            return self._ask("GET", f"{self.url}/{name}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def delete(self, name: str) -> None:
        self._ask("DELETE", f"{self.url}/{name}")

    def _ask(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        token = (self.account / "token").read_text().strip()  # it is renewed: read it every time
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self.tls) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def owned(rayjob: dict[str, Any], name: str, uid: str) -> dict[str, Any]:
    """The RayJob under the Job's name, and deleted with the Job."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    rayjob["metadata"] |= {"name": name, "ownerReferences": [owner]}
    return rayjob


def start(rayjobs: RayJobs, rayjob: dict[str, Any], poll_s: float) -> None:
    """Create the RayJob, or go on with the one an evicted pod of this Job has left; one that failed
    makes place for another try."""
    name = rayjob["metadata"]["name"]
    left = rayjobs.get(name)
    if left is not None and state(left) != "Failed":
        print(f"{name}: goes on, it was started before", flush=True)
        return
    if left is not None:
        rayjobs.delete(name)
        while rayjobs.get(name) is not None:
            time.sleep(poll_s)
    rayjobs.create(rayjob)
    print(f"{name}: submitted", flush=True)


def wait(rayjobs: RayJobs, name: str, poll_s: float) -> dict[str, Any] | None:
    """The ended RayJob, None if somebody deleted it; OSError if the API is away for too long."""
    last, silent = "", 0
    while True:
        try:
            now = rayjobs.get(name)
            silent = 0
        except OSError as error:  # also of HTTP
            silent += 1
            if silent > PATIENCE:
                raise
            print(f"{name}: no answer ({error}), asking again", flush=True)
        else:
            if now is None or state(now) in ENDED:
                return now
            if state(now) != last:
                last = state(now)
                print(f"{name}: {last or 'New'}", flush=True)
        time.sleep(poll_s)


def state(rayjob: dict[str, Any]) -> str:
    """`Running`, `Complete` and so on; empty at first."""
    return str(rayjob.get("status", {}).get("jobDeploymentStatus", ""))


def exit_code(rayjob: dict[str, Any]) -> int:
    """That of `xaipipe run`, which Ray mentions in its message; 1 where the cluster failed."""
    status = rayjob.get("status", {})
    if status.get("jobStatus") == "SUCCEEDED":
        return 0
    found = re.search(r"exit code (\d+)", status.get("message", ""))
    return int(found[1]) if found else 1


def main() -> int:
    """The exit code of the run, 1 if it is not known."""
    parser = argparse.ArgumentParser(description=__doc__)
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    parser.add_argument("rayjob", type=Path, help="rayjob.yaml")
    parser.add_argument("--name", required=True, help="of the Job")
    parser.add_argument("--uid", required=True, help="of the Job")
    parser.add_argument("--server", default=f"https://{host}:{port}", help="Kubernetes' API")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="folder with the token")
    parser.add_argument("--poll", type=float, default=15.0, help="seconds between two looks")
    given = parser.parse_args()
    rayjobs = RayJobs(given.server, given.account)
    rayjob = owned(yaml.safe_load(given.rayjob.read_text()), given.name, given.uid)
    try:
        start(rayjobs, rayjob, given.poll)
        ended = wait(rayjobs, given.name, given.poll)
    except OSError as error:
        print(f"{given.name}: {given.server}: {error}", flush=True)
        return 1
    if ended is None:
        print(f"{given.name}: deleted before its end", flush=True)
        return 1
    status = ended.get("status", {})
    print(f"{given.name}: {state(ended)} {status.get('reason', '')}", flush=True)
    print(status.get("message", ""), flush=True)
    return exit_code(ended)


if __name__ == "__main__":
    sys.exit(main())
