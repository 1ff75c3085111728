"""The CronJob's script as a process, against an API that holds RayJobs like Kubernetes' own."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.deploy.kubernetes import DEPLOY, document

URL = "/apis/ray.io/v1/namespaces/xaipipe/rayjobs"
NAME = "xaipipe-nightly-29384756"
RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "message": "finished"}


def failed(code):
    message = f"Job entrypoint command failed with exit code {code}, last available logs: ..."
    return {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": message}


class Api(ThreadingHTTPServer):
    """RayJobs; each look at one takes the next of `script` as its status.

    calls  methods and paths in order
    """

    def __init__(self, script, held=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.held = iter(script), dict(held or {})
        self.calls, self.created = [], []


class Handler(BaseHTTPRequestHandler):
    def reply(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_one(self, method):
        api, name = self.server, self.path.removeprefix(f"{URL}/")
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        api.calls.append(method)
        if self.headers["Authorization"] != "Bearer secret":
            return self.reply(401, {})
        if method == "POST":
            name = body["metadata"]["name"]
            if self.path != URL or name in api.held:
                return self.reply(409, {})
            api.created.append(body)
            api.held[name] = body
            return self.reply(201, body)
        if name not in api.held:
            return self.reply(404, {})
        if method == "DELETE":
            return self.reply(200, api.held.pop(name))
        status = next(api.script)
        if status == "away":
            return self.reply(503, {})
        if status == "gone":
            del api.held[name]
            return self.reply(404, {})
        return self.reply(200, api.held[name] | {"status": status})

    def do_GET(self):
        self.handle_one("GET")

    def do_POST(self):
        self.handle_one("POST")

    def do_DELETE(self):
        self.handle_one("DELETE")

    def log_message(self, *_):
        pass


@pytest.fixture
def nightly(tmp_path):
    """Runs the script with the API's script of statuses; returns code, output and the API."""
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("xaipipe")

    def run(script, held=None):
        api = Api(script, held)
        threading.Thread(target=api.serve_forever, daemon=True).start()
        command = [sys.executable, DEPLOY / "kuberay/nightly.py", DEPLOY / "kuberay/rayjob.yaml"]
        command += ["--name", NAME, "--uid", "1-2-3", "--poll", "0.01"]
        command += ["--server", f"http://127.0.0.1:{api.server_port}", "--account", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        api.shutdown()
        api.server_close()
        assert done.stderr == ""
        return done.returncode, done.stdout, api

    return run


def test_the_rayjob_is_that_of_the_file_and_belongs_to_the_job(nightly):
    code, printed, api = nightly([{}, RUNNING, RUNNING, DONE])
    assert code == 0
    (created,) = api.created
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "uid": "1-2-3"}
    assert created["metadata"]["ownerReferences"] == [owner]
    assert created["metadata"]["name"] == NAME
    assert created["spec"] == document("kuberay/rayjob.yaml", "RayJob")["spec"]
    assert printed.count(f"{NAME}: Running") == 1


@pytest.mark.parametrize("code", [1, 2, 3, 130])
def test_the_exit_code_is_that_of_the_run(nightly, code):
    found, printed, _ = nightly([RUNNING, failed(code)])
    assert found == code
    assert f"exit code {code}" in printed


def test_a_lost_cluster_may_be_tried_again(nightly):
    lost = {"jobDeploymentStatus": "Failed", "reason": "DeadlineExceeded", "message": "too long"}
    assert nightly([RUNNING, lost])[0] == 1


def test_a_running_rayjob_is_gone_on_with(nightly):
    code, printed, api = nightly([RUNNING, RUNNING, failed(3)], held={NAME: {}})
    assert (code, api.created) == (3, [])
    assert "it was started before" in printed


def test_a_failed_rayjob_makes_place_for_another_try(nightly):
    code, _, api = nightly([failed(1), RUNNING, DONE], held={NAME: {}})
    assert code == 0
    assert api.calls.index("DELETE") < api.calls.index("POST")


def test_an_api_that_is_away_for_a_while_ends_nothing(nightly):
    code, printed, api = nightly([RUNNING, *["away"] * 10, DONE])
    assert (code, len(api.created)) == (0, 1)
    assert "503" in printed


def test_an_api_that_is_away_for_good_ends_the_wait(nightly):
    code, printed, _ = nightly(["away"] * 100)
    assert code == 1
    assert printed.splitlines()[-1].startswith(f"{NAME}: http://127.0.0.1")


def test_a_rayjob_that_somebody_deletes_ends_the_wait(nightly):
    code, printed, _ = nightly([RUNNING, "gone"])
    assert (code, "deleted before its end" in printed) == (1, True)


def test_the_container_gives_the_script_what_it_needs():
    job = document("kuberay/cronjob.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    given = [part for part in container["args"] if part.startswith("--")]
    assert given == ["--name", "--uid"]
    names = {f"$({each['name']})" for each in container["env"]}
    assert {part for part in container["args"] if part.startswith("$")} == names
    assert yaml.safe_load((DEPLOY / "kuberay/rayjob.yaml").read_text())["kind"] == "RayJob"
