"""The README's Python snippets run, and its job file is a valid one."""

import re
from pathlib import Path

import pytest

from pipeline import Request, load_job
from pipeline.run import driver
from pipeline.shapes import write_dataset

README = (Path(__file__).parent.parent / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    manifest = write_dataset(folder / "data", 2, 0)
    job = load_job(
        None,
        {
            "manifest": str(manifest),
            "out": str(folder / "out"),
            "model": "builtin:shapes",
            "workers": 0,
            "steps": 3,
            "rounds": 2,
            "round_score": 0.0,
        },
    )
    driver.run(Request(job), lambda p: None)
    return folder


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["duckdb", "polars", "pandas", "render"])
def test_a_snippet_runs_and_prints_something(snippet, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(snippet, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert len(printed) > 10
    if "polars" in snippet:
        assert "shape: (2, 4)" in printed
    if "render" in snippet:
        assert "2 (1024, 768) (128, 128)" in printed


def test_the_job_file_is_valid(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "job.yaml").write_text(text)
    job = load_job(str(tmp_path / "job.yaml"), {})
    assert job.config.perturbation.sigmas == (0.05, 0.09)
    assert job.gpus == 8
