"""Where each value of a job comes from."""

import pytest
import yaml

from pipeline import RequestError, load_job, settings_of

JOB = """
manifest: a.csv
model: builtin:shapes
preset: fast
restarts: 3
objective.deletion_weight: .5
mask: {network: {w0_first: 9}}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "job.yaml").write_text(JOB)
    return str(tmp_path / "job.yaml")


def origins(file, overrides):
    return {one.name: (one.value, one.origin) for one in settings_of(file, overrides)}


def test_each_value_has_its_origin(file):
    found = origins(file, {"manifest": "b.csv", "mask.stride": 2, "seed": None})
    assert found["manifest"] == ("b.csv", "flag")
    assert found["mask.stride"] == (2, "flag")
    assert found["model"] == ("builtin:shapes", file)
    assert found["mask.network.w0_first"] == (9, file)
    assert found["objective.deletion_weight"] == (0.5, file)
    assert found["optimise.steps"] == (8, "preset fast")
    assert found["optimise.cooldown"] == (6, "default")
    assert found["seed"] == (0, "default")


@pytest.mark.parametrize("name", ["steps", "optimise.steps"])
def test_both_names_of_the_steps(file, name):
    assert origins(file, {name: 5})["optimise.steps"] == (5, "flag")


def test_a_flag_wins_over_the_files_other_name_of_the_same(tmp_path):
    (tmp_path / "job.yaml").write_text(JOB + "steps: 7\n")
    file = str(tmp_path / "job.yaml")
    assert origins(file, {})["optimise.steps"] == (7, file)
    assert origins(file, {"optimise.steps": 5})["optimise.steps"] == (5, "flag")


def test_what_only_a_run_needs_may_be_missing():
    found = origins(None, {"method": "rise"})
    assert found["manifest"] == found["model"] == (None, "not given")
    assert found["samples"][1] == "default"


def test_a_wrong_job_is_refused():
    with pytest.raises(RequestError, match="did you mean restarts"):
        settings_of(None, {"restart": 3})


def test_what_is_printed_is_a_job_file_of_the_same_job(xaipipe, file, capsys, tmp_path):
    from jobs.config import _lines

    flags = {"areas": [0.1, 0.3], "select": {"split": "test"}, "optimise.learning_rate": 1e-5}
    (tmp_path / "shown.yaml").write_text("\n".join(_lines(settings_of(file, flags))))
    again = load_job(str(tmp_path / "shown.yaml"), {})
    assert again.resolved() == load_job(file, flags).resolved()
    code, text = xaipipe("config", "show", "--config", file, "--restarts", 4)
    assert code == 0 and "restarts: 4 # flag" in text and "w0_first: 9.0 #" in text


def test_the_schema_is_printed_as_json(xaipipe):
    code, text = xaipipe("config", "schema")
    assert code == 0 and yaml.safe_load(text)["title"] == "Job file of xaipipe"
