"""The job files of `deploy/jobs` are usable as they are."""

from pathlib import Path

import pytest
import yaml

from inr_core import METHODS
from pipeline import RequestError, load_job

JOBS = Path(__file__).parents[2] / "deploy" / "jobs"


@pytest.mark.parametrize("file", sorted(JOBS.iterdir()), ids=lambda file: file.stem)
def test_a_job_file_is_valid(file):
    job = load_job(str(file), {})
    assert job.out is not None and job.gpus == 8


@pytest.mark.parametrize("file", sorted(JOBS.iterdir()), ids=lambda file: file.stem)
def test_a_misspelt_job_file_is_refused(file, tmp_path):
    broken = yaml.safe_load(file.read_text())
    broken["aeras"] = broken.pop("areas")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(broken))
    with pytest.raises(RequestError, match="unknown key 'aeras'; did you mean areas"):
        load_job(str(tmp_path / "job.yaml"), {})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_settings_of_the_comparison(method):
    job = load_job(str(JOBS / "comparison.yaml"), {"method": method})
    assert job.config.areas == (0.05, 0.1, 0.2, 0.4)


def test_the_audit_looks_for_more_than_one_reason():
    config = load_job(str(JOBS / "audit.yaml"), {}).config
    assert (config.rounds, config.objective.game) == (2, "preservation")
