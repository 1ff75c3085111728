"""`deploy/slurm/run.sbatch` as Slurm runs it, with Ray and xaipipe; Slurm is imitated."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline import read
from pipeline.shapes import write_dataset
from tests.deploy.kubernetes import DEPLOY

SCRIPT = DEPLOY / "slurm" / "run.sbatch"
BIN = Path(sys.executable).parent
FAKES = {
    # the nodes of the job are this machine, as often as wanted
    "scontrol": 'case $1 in show) printf "%s\\n" $2 ${3//,/ } | tail -n +2 ;; '
    'requeue) echo "$2" >> "$REQUEUED" ;; esac',
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "hostname": "echo 127.0.0.1 10.0.0.1",
    "xaipipe": f'exec {sys.executable} -m jobs "$@"',
}
RAY = "[[ $1 == start ]] && exec sleep 60; true"


def imitate(folder, **bodies):
    """Write shell scripts as programs of these names."""
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def slurm(tmp_path):
    """Environment and command of a job on one node with CPU workers."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    imitate(fakes, **FAKES)
    manifest = write_dataset(tmp_path / "data", 4, 0)
    job = {"manifest": str(manifest), "out": str(tmp_path / "out"), "model": "builtin:shapes"}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job | {"steps": 20, "shard_size": 1}))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SLURM_"))}
    environment |= {
        "PATH": f"{fakes}:{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(DEPLOY.parent),
        "REQUEUED": str(tmp_path / "requeued"),
        "SLURM_JOB_NODELIST": "node1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_CPUS_PER_TASK": "1",
    }
    return environment, ["bash", str(SCRIPT), str(tmp_path / "job.yaml")]


def test_the_script_is_clean():
    for command in (["bash", "-n"], [str(BIN / "shellcheck")]):
        done = subprocess.run([*command, SCRIPT], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_copy_is_rejected(tmp_path):
    broken = tmp_path / "run.sbatch"
    broken.write_text(SCRIPT.read_text().replace('"$code"', "$cod"))
    done = subprocess.run([BIN / "shellcheck", broken], capture_output=True, text=True)
    assert done.returncode == 1 and "SC2154" in done.stdout
    broken.write_text(SCRIPT.read_text().replace("esac", "esca"))
    assert subprocess.run(["bash", "-n", broken], capture_output=True).returncode == 2


def test_the_options_are_those_that_make_it_resumable():
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(\S*)$", SCRIPT.read_text(), re.MULTILINE))
    assert "requeue" in options
    assert options["dependency"] == "singleton"  # nights never overlap
    assert options["open-mode"] == "append"  # a requeued job does not lose its log
    assert re.fullmatch(r"B:TERM@\d+", options["signal"])


@pytest.mark.long
def test_a_job_is_interrupted_requeued_and_then_finishes(slurm, tmp_path):
    environment, command = slurm
    job = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out" / "_run" / "commits").glob("*")):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)  # as `--signal=B:TERM` does, to the shell alone
    printed = job.communicate(timeout=120)[0]
    assert job.returncode == 130, printed
    assert (tmp_path / "requeued").read_text().split() == [environment["SLURM_JOB_ID"]]
    first = read(str(tmp_path / "out")).images.count_rows()
    assert 0 < first < 4
    again = subprocess.run(
        command, env=environment | {"SLURM_RESTART_COUNT": "1"}, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{first} were done before" in again.stdout
    assert read(str(tmp_path / "out")).images.count_rows() == 4
    assert len((tmp_path / "requeued").read_text().split()) == 1


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
@pytest.mark.parametrize("restarts", [0, 5])
def test_what_may_pass_goes_on_later_but_not_for_ever(slurm, tmp_path, code, restarts):
    environment, command = slurm
    imitate(tmp_path / "bin", ray=RAY, xaipipe=f"exit {code}")
    environment |= {"SLURM_RESTART_COUNT": str(restarts), "SLURM_JOB_NODELIST": "node1,node2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "requeued").exists() == (code in (1, 130) and restarts < 5)


@pytest.mark.parametrize(("gpus", "expected"), [("4", "--gpus 8"), ("0", "--workers 2")])
def test_the_run_asks_for_what_the_nodes_have(slurm, tmp_path, gpus, expected):
    environment, command = slurm
    imitate(tmp_path / "bin", ray=RAY, xaipipe='echo "$@"')
    environment |= {"SLURM_GPUS_ON_NODE": gpus, "SLURM_JOB_NODELIST": "node1,node2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
    address = f"--address 127.0.0.1:{20000 + os.getpid() % 10000}"
    assert done.stdout == f"run --config {command[-1]} {address} {expected}\n"
