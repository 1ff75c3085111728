"""The Dockerfile against hadolint, and against what it copies and installs.

It is not built here: that takes a container engine and a registry.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deploy.kubernetes import DEPLOY

FILE = DEPLOY / "Dockerfile"
ROOT = DEPLOY.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = re.sub(r"\\\n", " ", FILE.read_text())
FINAL = TEXT[TEXT.rindex("\nFROM ") :]


def hadolint(file):
    command = [Path(sys.executable).parent / "hadolint", "--no-color", file]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_dockerfile_is_clean():
    done = hadolint(FILE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("USER 1000:1000", "USER root", "DL3002"),
        ("FROM python:${PYTHON}\n", "FROM python:latest\n", "DL3007"),
        ("ENTRYPOINT", "ENTRYPIONT", "unexpected"),
        ('ENTRYPOINT ["xaipipe"]', "ENTRYPOINT xaipipe", "DL3025"),
        ("--no-install-recommends ", "", "DL3015"),
    ],
)
def test_a_broken_copy_is_rejected(good, bad, rule, tmp_path):
    assert good in FILE.read_text()
    (tmp_path / "Dockerfile").write_text(FILE.read_text().replace(good, bad))
    done = hadolint(tmp_path / "Dockerfile")
    assert done.returncode != 0 and rule in done.stdout + done.stderr


def test_what_is_copied_exists_and_is_sent():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word
        for line in re.findall(r"^COPY ([^-].*)$", TEXT, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied


def test_all_extras_are_installed_and_pinned():
    (installed,) = re.findall(r'"\.\[(.*?)\]"', TEXT)
    extras = set(PROJECT["optional-dependencies"]) - {"test"}
    assert set(installed.split(",")) == extras
    pinned = {
        re.sub("[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    wanted = PROJECT["dependencies"] + [
        each for name in extras for each in PROJECT["optional-dependencies"][name]
    ]
    names = {re.sub("[-_.]+", "-", Requirement(each).name).lower() for each in wanted}
    assert names <= pinned
    assert all("-c constraints.txt" in line for line in re.findall(r"pip install [^;&]*", TEXT))


def test_the_base_is_pinned_and_new_enough():
    (version,) = re.findall(r"^ARG PYTHON=(\S+)$", TEXT, re.MULTILINE)
    assert re.fullmatch(r"3\.(1[1-9])\.\d+-slim-[a-z]+", version)
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) == {"python:${PYTHON}"}
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_image_has_what_the_deployments_call():
    packages = re.findall(r"--no-install-recommends ([^&]*)", FINAL)[0].split()
    # Triton's compiler, the hooks' pkill, Ray's launcher, KubeRay's probes
    assert packages == ["g++", "procps", "rsync", "wget"]
    assert "RAY_AUTH_MODE=token" in FINAL and "disabled" not in FINAL
    assert "/etc/profile.d/" in FINAL  # login shells find xaipipe, too
    assert re.findall(r"^USER (.*)$", FINAL, re.MULTILINE) == ["1000:1000"]


def test_one_image_in_all_files():
    (version,) = set(re.findall(r"/xaipipe:([\d.]+\d)", FILE.read_text()))
    assert version == PROJECT["version"]
    for file in [*DEPLOY.glob("kuberay/*.yaml"), *DEPLOY.glob("ray-cluster/*.yaml")]:
        found = re.findall(r"image: (?:&image )?(\S+/xaipipe:\S+)", file.read_text())
        assert {name.rsplit(":", 1)[1] for name in found} <= {version}
