"""`xaipipe submit` against a real Ray head on the loopback interface."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline import load_job, read
from pipeline.run.cluster import job_file
from pipeline.shapes import write_dataset

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def head(tmp_path):
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    dashboard = free_port()
    command = [str(BIN / "ray"), "start", "--head", "--num-cpus", "2", "--disable-usage-stats"]
    command += ["--port", str(free_port()), "--dashboard-host", "127.0.0.1"]
    command += ["--dashboard-port", str(dashboard), "--dashboard-agent-listen-port"]
    command += [str(free_port()), "--node-ip-address", "127.0.0.1"]
    # In a process group of its own: `ray stop` would end every Ray on this machine.
    process = subprocess.Popen(
        [*command, "--block"],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_it_answers(dashboard)
    del environment["RAY_AUTH_MODE"]  # of users, the token is enough
    yield f"http://127.0.0.1:{dashboard}", environment
    process.terminate()
    process.wait(timeout=60)


def wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=2)
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == 401  # it wants a token
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the Ray head did not come up")


@pytest.mark.slow
def test_a_submitted_job_runs_and_its_exit_code_comes_back_to_those_with_the_token(head, tmp_path):
    address, environment = head
    write_dataset(tmp_path / "data", 2, 0)
    (tmp_path / "data" / "images" / "broken.png").write_text("no image")
    with (tmp_path / "data" / "manifest.csv").open("a") as stream:
        stream.write("broken,images/broken.png,0,,,\n")
    command = [str(BIN / "xaipipe"), "submit", "data/manifest.csv", "--out", "out"]
    command += ["--model", "builtin:shapes", "--steps", "3", "--workers", "1"]
    command += ["--address", address, "--wait"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "explained 2 images" in done.stdout
    assert "the file is not an image" in done.stdout
    assert read(str(tmp_path / "out")).images.count_rows() == 2
    for token in ({}, {"RAY_AUTH_TOKEN": "f" * 64}):  # last, so that the head is started once
        stranger = {k: v for k, v in environment.items() if k != "RAY_AUTH_TOKEN"} | token
        done = subprocess.run(
            command, env=stranger, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "wants its token" in done.stderr and "Traceback" not in done.stderr


def test_paths_become_absolute_and_the_driver_joins_its_own_cluster(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    job = load_job(
        None,
        {
            "manifest": "m.csv",
            "out": "s3://bucket/out",
            "model": "torchvision:resnet50",
            "weights": "w.pth",
            "address": "http://head:8265",
            "restarts": 3,
        },
    )
    data = job_file(job)
    assert data["manifest"] == str(tmp_path / "m.csv")
    assert data["weights"] == str(tmp_path / "w.pth")
    assert data["out"] == "s3://bucket/out"
    assert data["address"] == "auto"
    assert data["restarts"] == 3
    assert load_job(None, data).config == job.config
