"""`xaipipe submit` against a real Ray head on the loopback interface."""

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline import read
from pipeline.run import Status
from pipeline.shapes import write_dataset
from pipeline.store import RunFolder, Store

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef" * 4
SHAPES = ["--model", "builtin:shapes", "--workers", "1"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def head():
    """HOST:PORT of the dashboard of a head with a token, and the environment of its users."""
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
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
    users = {k: v for k, v in environment.items() if k != "RAY_AUTH_MODE"}  # a token is enough
    yield f"127.0.0.1:{dashboard}", users
    process.terminate()
    process.wait(timeout=60)


def wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 120
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


@pytest.fixture
def submit(head, tmp_path):
    """Starts `xaipipe submit` in a folder, with another environment if one is given."""
    address, environment = head

    def start(*arguments, folder=tmp_path, env=environment):
        command = [sys.executable, "-m", "jobs.__main__", "submit", *map(str, arguments)]
        return subprocess.Popen(
            [*command, "--address", address],
            env=env,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def ended(process):
    printed = process.communicate(timeout=400)[0]
    return process.returncode, printed


@pytest.mark.slow
@pytest.mark.long
def test_a_job_is_followed_and_its_exit_code_comes_back_to_those_with_the_token(
    submit, head, tmp_path
):
    write_dataset(tmp_path / "data", 2, 0)
    (tmp_path / "data" / "images" / "broken.png").write_text("no image")
    with (tmp_path / "data" / "manifest.csv").open("a") as stream:
        stream.write("broken,images/broken.png,0,,,\n")
    command = ["data/manifest.csv", "--out", "out", *SHAPES, "--steps", "3", "--wait"]
    code, printed = ended(submit(*command))
    assert code == 3, printed
    assert "explained 2 images" in printed and "the file is not an image" in printed
    assert "every node must be able to read the images, local files such as" in printed
    assert read(str(tmp_path / "out")).images.count_rows() == 2
    for token in ({}, {"RAY_AUTH_TOKEN": "f" * 64}):
        stranger = {k: v for k, v in head[1].items() if k != "RAY_AUTH_TOKEN"} | token
        code, printed = ended(submit(*command, env=stranger))
        assert code == 2 and "wants its token" in printed and "Traceback" not in printed, printed


@pytest.mark.slow
@pytest.mark.long
def test_code_manifest_and_weights_are_sent_along(submit, tmp_path):
    """The job starts elsewhere: what is not sent is not there."""
    import torch

    from pipeline.shapes import load_shapes

    write_dataset(tmp_path / "data", 2, 0)
    mine = tmp_path / "mine"
    (mine / "layers").mkdir(parents=True)
    (mine / "mymodel.py").write_text(
        "from layers.network import Network\ndef build():\n    return Network()\n"
    )
    (mine / "layers" / "__init__.py").write_text("")
    (mine / "layers" / "network.py").write_text(
        "from pipeline.shapes import ShapesNetwork\nclass Network(ShapesNetwork):\n    pass\n"
    )
    torch.save(load_shapes().state_dict(), mine / "w.pth")
    lines = (tmp_path / "data" / "manifest.csv").read_text().splitlines()[1:]
    rows = [line.split(",")[:2] for line in lines]
    ids = [id_ for id_, _ in rows]
    images = [f"{id_},{tmp_path}/data/{image}\n" for id_, image in rows]
    (mine / "m.csv").write_text("id,image\n" + "".join(images))
    command = ["m.csv", "--out", tmp_path / "out", "--model", "python:mymodel:build"]
    command += ["--weights", "w.pth", "--preprocess", "resize=128,crop=128", "--workers", "1"]
    code, printed = ended(submit(*command, "--steps", "3", "--wait", folder=mine))
    assert code == 0, printed
    for name in ("m.csv", "w.pth", "mymodel.py", "layers"):
        assert name in printed.partition("progress:")[0]
    assert sorted(read(str(tmp_path / "out")).images.to_table()["id"].to_pylist()) == ids


@pytest.mark.slow
@pytest.mark.long
def test_a_job_is_left_alone_cancelled_and_resumed(submit, head, tmp_path):
    write_dataset(tmp_path / "data", 10, 0)
    job = ["data/manifest.csv", "--out", "out", *SHAPES, "--shard-size", "1", "--steps", "200"]
    code, printed = ended(submit(*job))
    assert code == 0, printed
    commands = dict(line.strip().split(":", 1) for line in printed.splitlines()[-4:])
    assert list(commands) == ["progress", "follow", "cancel", "resume"]
    folder = RunFolder(Store(str(tmp_path / "out")))
    deadline = time.monotonic() + 200
    while not folder.plans() or Status.of(folder).explained < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    done = subprocess.run(
        ["sh", "-c", commands["cancel"]], env=head[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    followed = ["sh", "-c", commands["follow"]]
    done = subprocess.run(followed, env=head[1], capture_output=True, text=True, timeout=200)
    assert "10 images" in done.stdout
    assert folder.summary()["state"] == "interrupted"
    before = Status.of(folder).explained
    assert 2 <= before < 10
    code, printed = ended(submit(*job, "--wait"))
    assert code == 0, printed
    assert f"{before} were done before" in printed
    assert read(str(tmp_path / "out")).images.count_rows() == 10
    assert shlex.split(commands["cancel"])[-2:] == ["--address", f"http://{head[0]}"]
