"""The job: files, flags, presets, and errors that name the nearest known key."""

import pytest

from inr_core import PRESETS
from pipeline import RequestError, load_job

GIVEN = {"manifest": "m.csv", "model": "builtin:shapes"}


def write(tmp_path, text):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return str(path)


def test_flags_win_over_the_job_file_and_the_file_over_the_preset(tmp_path):
    file = write(
        tmp_path,
        "manifest: a.csv\nmodel: builtin:shapes\nrestarts: 3\nsteps: 7\n"
        "mask: {network: {w0_first: 9}}\nobjective:\n  game: deletion\n",
    )
    job = load_job(
        file, {"manifest": "b.csv", "restarts": 4, "mask.stride": 2, "areas": [0.1, 0.3]}
    )
    assert job.manifest == "b.csv"
    assert job.config.restarts == 4
    assert job.config.optimise.steps == 7
    assert job.config.mask.network.w0_first == 9
    assert job.config.mask.stride == 2
    assert job.config.mask.network.hidden_width == PRESETS["default"].mask.network.hidden_width
    assert job.config.objective.game == "deletion"
    assert job.config.areas == (0.1, 0.3)


def test_a_preset_is_the_ground_that_other_settings_change():
    job = load_job(None, {**GIVEN, "preset": "paper", "optimise.areas_per_step": 2})
    assert job.config.mask.area == "vecsort"
    assert job.config.optimise.steps == PRESETS["paper"].optimise.steps
    assert job.config.optimise.areas_per_step == 2


def test_a_resolved_job_loads_to_the_same_job(tmp_path):
    import yaml

    job = load_job(None, {**GIVEN, "out": "o", "preset": "paper", "steps": 3, "select": {"a": "b"}})
    again = load_job(write(tmp_path, yaml.safe_dump(job.resolved())), {})
    assert again.config == job.config
    assert again.model_dump(exclude={"steps", "preset"}) == job.model_dump(
        exclude={"steps", "preset"}
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimise.stepz": 3}, "unknown key 'optimise.stepz'; did you mean optimise.steps?"),
        ({"restart": 3}, "did you mean restarts?"),
        ({"stride": 3}, "did you mean mask.stride?"),
        ({"restarts": "many"}, "restarts: .*integer.*got 'many'"),
        ({"areas": [0.5, 0.1]}, "areas must be ascending"),
        ({"optimise.steps": 0}, "steps, areas_per_step and cooldown must be at least 1"),
        ({"limit": 0}, "limit: .*greater than or equal to 1, got 0"),
        ({"preset": "papper"}, "preset: 'papper' is unknown; expected one of default, fast, "),
        ({"method": "gradcam2"}, "method"),
        ({"baseline": "x.png"}, "belong together"),
        ({"perturbation.kind": "custom"}, "belong together"),
        ({"seed.x": 3}, "seed"),
    ],
)
def test_wrong_values_are_named(given, message):
    with pytest.raises(RequestError, match=message):
        load_job(None, {**GIVEN, **given})


def test_what_is_missing_is_named():
    with pytest.raises(RequestError, match="no manifest"):
        load_job(None, {"model": "builtin:shapes"})
    with pytest.raises(RequestError, match="no classifier"):
        load_job(None, {"manifest": "m.csv"})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "just words"])
def test_a_file_that_is_no_job_is_refused(tmp_path, text):
    with pytest.raises(RequestError, match="job.yaml"):
        load_job(write(tmp_path, text), {})


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RequestError, match="cannot be read"):
        load_job(str(tmp_path / "none.yaml"), {})
