"""What `deploy/` tells to type exists: commands and options of xaipipe, files, figures of costs."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from inr_core import METHODS
from jobs.app import app
from pipeline import load_job
from tests.deploy.kubernetes import DEPLOY

README = (DEPLOY / "README.md").read_text()
COMMANDS = typer.main.get_command(app).commands


def options(command):
    """Of a command, or of all that a group has."""
    own = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    return own.union(*map(options, getattr(command, "commands", {}).values()))


OPTIONS = {name: options(command) for name, command in COMMANDS.items()}
TEXTS = [path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
EVERYTHING = "\n".join(map(Path.read_text, TEXTS))


def commands(text):
    """Command lines of xaipipe in prose, comments and scripts, continued lines joined."""
    text = re.sub(r"\\\n\s*#?", " ", text)
    for found in re.findall(r"(?<![\w./-])xaipipe ([a-z]+\b[^`\n|&;]*)", text):
        yield shlex.split(re.split(r"\s#\s|\s{3,}|\)$", found)[0].replace("'", "").replace('"', ""))


def unknown(words):
    """Options that the command does not have."""
    given = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
    return sorted(given - OPTIONS[words[0]])


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_commands_have_these_options(path):
    found = [words for words in commands(path.read_text()) if words[0] in OPTIONS]
    assert [(words, unknown(words)) for words in found if unknown(words)] == []
    if path.name in ("README.md", "rayjob.yaml", "run.sbatch") or path.parts[-2:] == (
        "jobs",
        path.stem + ".yaml",
    ):
        assert found


def test_commands_of_their_own_lines_exist():
    lines = "\n".join(re.findall(r"^(?:#   +)?xaipipe .*$", EVERYTHING, re.MULTILINE))
    assert {words[0] for words in commands(lines)} <= set(OPTIONS)
    assert {"run", "plan", "status", "report"} <= {words[0] for words in commands(lines)}


def test_a_command_that_is_none_is_found():
    assert [unknown(words) for words in commands("`xaipipe run x --log-style json`")] == [
        ["--log-style"]
    ]


def test_files_that_are_named_exist():
    for name in re.findall(r"(?<!tests/)deploy/[\w./-]*\w\.\w+", EVERYTHING):
        assert (DEPLOY.parent / name).exists(), name
    for name in re.findall(r"`((?:jobs|kuberay|ray-cluster|slurm|prefect)/[\w.-]+)`", README):
        assert (DEPLOY / name).exists(), name


def figures(name, **overrides):
    """Passes and bytes of an image, as `xaipipe plan` counts them."""
    job = load_job(str(DEPLOY / "jobs" / name), overrides)
    method, config = METHODS[job.method], job.config
    masks = 0.2 * 224**2 * len(config.areas) * max(1, method.networks(config))
    networks = method.networks(config)
    weights = 2 * networks * config.mask.network.parameter_count if networks else 0
    return method.passes(config), round((masks + weights) / 1000)


def test_the_costs_are_those_of_the_job_files():
    assert "| `nightly.yaml` | 128 (40 with `preset: fast`) | 57 kB" in README
    assert figures("nightly.yaml") == (128, 57)
    assert figures("nightly.yaml", preset="fast")[0] == 40
    assert "| `audit.yaml` | 408 | 464 kB" in README
    assert figures("audit.yaml") == (408, 464)
    (line,) = re.findall(r"\| `comparison.yaml` \| (.*?) \|", README)
    for method, passes in re.findall(r"(\w+) (\d+)", line):
        assert figures("comparison.yaml", method=method)[0] == int(passes)
