"""The job files of `deploy/jobs` are usable as they are."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from inr_core import METHODS
from jobs.options import descriptions
from pipeline import RequestError, job_schema, load_job

JOBS = Path(__file__).parents[2] / "deploy" / "jobs"
FILES = sorted(JOBS.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_job_file_is_valid(file):
    job = load_job(str(file), {})
    assert job.out is not None and job.gpus == 8


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_misspelt_job_file_is_refused(file, tmp_path):
    broken = yaml.safe_load(file.read_text())
    broken["aeras"] = broken.pop("areas")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(broken))
    with pytest.raises(RequestError, match="unknown key 'aeras'; did you mean areas"):
        load_job(str(tmp_path / "job.yaml"), {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_editors_find_the_schema_beside_a_job_file(file):
    mode, _ = file.read_text().split("\n", 1)
    assert mode == "# yaml-language-server: $schema=job.schema.json"
    validator = jsonschema.Draft7Validator(json.loads((JOBS / "job.schema.json").read_text()))
    data = yaml.safe_load(file.read_text())
    assert not list(validator.iter_errors(data))
    assert list(validator.iter_errors(data | {"aeras": [0.1]}))


def test_the_schema_is_that_of_the_command():
    """`xaipipe config schema > deploy/jobs/job.schema.json` writes it anew."""
    assert json.loads((JOBS / "job.schema.json").read_text()) == job_schema(descriptions())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_settings_of_the_comparison(method):
    job = load_job(str(JOBS / "comparison.yaml"), {"method": method})
    assert job.config.areas == (0.05, 0.1, 0.2, 0.4)


def test_the_audit_looks_for_more_than_one_reason():
    config = load_job(str(JOBS / "audit.yaml"), {}).config
    assert (config.rounds, config.objective.game) == (2, "preservation")
