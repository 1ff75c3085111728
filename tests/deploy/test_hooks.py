"""The preStop hooks of `deploy/kuberay/rayjob.yaml`, as they are, among processes of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.kubernetes import document

BIN = Path(sys.executable).parent
ALONE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def alone() -> bool:
    """Whether processes can be given a process table of their own here, like in a container."""
    return bool(shutil.which("unshare")) and not subprocess.run([*ALONE, "true"]).returncode


pytestmark = pytest.mark.skipif(
    not alone() or shutil.which("pkill") is None, reason="needs root, unshare and procps"
)


def hook(name):
    cluster = document("kuberay/rayjob.yaml", "RayJob")["spec"]["rayClusterSpec"]
    groups = {"head": cluster["headGroupSpec"], "worker": cluster["workerGroupSpecs"][0]}
    (container,) = groups[name]["template"]["spec"]["containers"]
    return container["lifecycle"]["preStop"]["exec"]["command"]


def in_container(script, tmp_path, **fakes):
    """Run a script with the hook as $HOOK and programs of our own before those of the machine."""
    for name, body in fakes.items():
        (tmp_path / name).write_text(body)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stderr == ""
    return done.stdout.split()


DRIVER = f"""#!{sys.executable}
import signal, sys, time
def end(*_):
    time.sleep(2.5)
    print("released", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
print("started", flush=True)
time.sleep(60)
"""


def test_the_head_ends_its_driver_and_waits_until_it_has_ended(tmp_path):
    (tmp_path / "hook").write_text(hook("head")[-1])
    script = "xaipipe & sleep 1; bash hook; echo done"
    assert in_container(script, tmp_path, xaipipe=DRIVER) == ["started", "released", "done"]


def test_a_head_without_a_driver_does_not_wait(tmp_path):
    (tmp_path / "hook").write_text(hook("head")[-1])
    assert in_container("bash hook; echo $SECONDS", tmp_path) in (["0"], ["1"])


def test_a_worker_without_actors_goes_at_once(tmp_path):
    (tmp_path / "hook").write_text(hook("worker")[-1])
    assert in_container("bash hook; echo went", tmp_path, ray="#!/bin/bash\necho drained") == [
        "went"
    ]


def test_a_worker_is_drained_and_waits_for_its_actors(tmp_path):
    """The imitated `ray` takes the options of the real one, see the next test."""
    (tmp_path / "hook").write_text(hook("worker")[-1])
    script = "(exec -a ray::Actor sleep 3; ) & sleep .5; bash hook; echo $((SECONDS >= 2))"
    found = in_container(script, tmp_path, ray='#!/bin/bash\necho "$1"')
    assert found == ["drain-node", "1"]


def test_ray_has_the_options_that_the_hook_gives():
    script = hook("worker")[-1]
    start = script.index("ray drain-node")
    options = [word for word in script[start:].split("\n  for")[0].split() if word[:2] == "--"]
    done = subprocess.run(
        [BIN / "ray", "drain-node", "--help"], capture_output=True, text=True, check=True
    )
    assert len(options) == 3 and all(option in done.stdout for option in options)
    assert "DRAIN_NODE_REASON_PREEMPTION" in script
    assert "DRAIN_NODE_REASON_PREEMPTION" in done.stdout
