"""Following a job: whose word counts for its exit code."""

import dataclasses
from types import SimpleNamespace

import pytest

from pipeline import RequestError, RunError, Summary, load_job
from pipeline.run import SUBMISSION
from pipeline.store import RunFolder, Store
from pipeline.submission import Package, Submission
from pipeline.submission import submission as module

SUMMARY = Summary(
    images=3, done_before=0, explained=3, failed=0, seconds=1.0, state="finished", finished=1.0
)


class Client:
    """What Ray answers: statuses in turn, then the last one again; an exception is raised.

    given  what was submitted
    """

    def __init__(self, *statuses, code=0):
        self.statuses, self.code = list(statuses), code
        self.given = {}

    def submit_job(self, **given):
        self.given = given

    def get_job_status(self, name):
        now = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(now, Exception):
            raise now
        return SimpleNamespace(is_terminal=lambda: now != "RUNNING", value=now)

    def get_job_logs(self, name):
        return "a line\n"

    def get_job_info(self, name):
        status = self.get_job_status(name)
        return SimpleNamespace(driver_exit_code=self.code, status=status, message="why")


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Submits a job to a client; `summary` is what a run, this one's or another's, has written."""
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "SILENT_S", 0.2)

    def submit(client, summary=None, by=None, **changes):
        monkeypatch.setattr(module, "_client", lambda address: client)
        given = {"manifest": "m.csv", "model": "builtin:shapes", "address": "head:8265"}
        job = load_job(None, {**given, "out": str(tmp_path / "out"), **changes})
        found = Submission(job, Package(tmp_path))
        if summary is not None:
            data = dataclasses.asdict(summary) | {"submission": by or found.name}
            RunFolder(Store(str(tmp_path / "out"))).write_summary(data)
        return found

    return submit


def test_what_is_submitted(submitted, tmp_path, monkeypatch):
    client = Client("RUNNING")
    found = submitted(client)
    assert client.given["submission_id"] == found.name
    assert client.given["entrypoint"] == "xaipipe run --config job.yaml --log-format text"
    environment = client.given["runtime_env"]
    assert environment["working_dir"] == str(tmp_path)
    assert set(environment["env_vars"]) == {SUBMISSION, "RAY_JOB_STOP_WAIT_TIME_S"}
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    stop = f"ray job stop {found.name} --address http://head:8265"
    for token, command in ((False, stop), (True, f"RAY_AUTH_MODE=token {stop}")):
        monkeypatch.setattr(module, "has_token", lambda token=token: token)
        assert found.command("stop") == command


@pytest.mark.parametrize(
    ("changes", "accept", "code"),
    [
        ({}, False, 0),
        ({"failed": 1}, False, 3),
        ({"failed_before": 1, "done_before": 1}, False, 3),
        ({"failed": 1}, True, 0),
        ({"explained": 0, "failed": 3}, True, 1),
        ({"state": "interrupted"}, False, 130),
        ({"state": "stopped"}, False, 1),
    ],
)
def test_the_runs_own_summary_wins_over_what_ray_says(submitted, changes, accept, code):
    summary = dataclasses.replace(SUMMARY, **changes)
    found = submitted(Client("RUNNING", "FAILED", code=7), summary, accept_failures=accept)
    lines = []
    assert found.follow(lines.append) == code
    assert "".join(lines) == "a line\n"


@pytest.mark.parametrize("by", [None, "another job"])
def test_without_a_summary_of_its_own_rays_word_counts(submitted, by):
    summary = None if by is None else SUMMARY
    assert submitted(Client("FAILED", code=2), summary, by).follow(str) == 2
    with pytest.raises(RunError, match="stopped: why"):
        submitted(Client("stopped", code=None), summary, by).follow(str)


def test_a_head_that_is_away_for_a_while_ends_nothing(submitted):
    away = [ConnectionError("away")] * 3
    assert submitted(Client("RUNNING", *away, "RUNNING", "SUCCEEDED")).follow(str) == 0


def test_a_head_that_never_comes_back(submitted):
    away = ConnectionError("away")
    assert submitted(Client("RUNNING", away), SUMMARY).follow(str) == 0
    with pytest.raises(RunError, match="has not answered .* and the run has written no summary"):
        submitted(Client("RUNNING", away), SUMMARY, "another job").follow(str)


def test_addresses():
    assert module.dashboard("head:8265") == module.dashboard("http://head:8265")
    assert module.dashboard("https://head") == "https://head"
    with pytest.raises(RequestError, match="give the cluster's address"):
        module.dashboard(None)
