"""The JSON schema of the job file, against the job itself."""

import json

import jsonschema
import pytest

from inr_core import METHODS
from jobs.options import descriptions
from pipeline import RequestError, job_schema, load_job

GIVEN = {"manifest": "m.csv", "model": "builtin:shapes"}
SCHEMA = job_schema(descriptions())


def errors(data):
    return list(jsonschema.Draft7Validator(SCHEMA).iter_errors(data))


def accepted(data):
    try:
        load_job(None, data)
    except RequestError:
        return False
    return True


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("method", METHODS)
def test_a_resolved_job_of_every_method_is_valid_and_none_of_its_keys_is_unknown(method):
    resolved = load_job(None, {**GIVEN, "method": method}).resolved()
    assert errors(json.loads(json.dumps(resolved))) == []


@pytest.mark.parametrize("method", METHODS)
def test_every_key_has_a_description_that_editors_show(method):
    def described(properties):
        for name, one in properties.items():
            if "$ref" in one:
                one = SCHEMA["definitions"][one["$ref"].rpartition("/")[2]]
            assert one["description"], name
            described(one.get("properties", {}))

    described(SCHEMA["definitions"][f"method-{method}"]["properties"])


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "fast"},
        {"steps": 7},
        {"method": "ep", "steps": 7},
        {"method": "rise", "samples": 9},
        {"max_memory": "20GB"},
        {"objective": {"game": "dual"}},
        {"aeras": [0.1]},
        {"objective": {"gaem": "dual"}},
        {"objective": {"game": "duel"}},
        {"restarts": "many"},
        {"samples": 9},
        {"method": "rise", "objective": {"game": "dual"}},
        {"method": "ep", "preset": "fast"},
        {"method": "gradcam", "steps": 7},
        {"method": "nonsense"},
        {"preset": "nonsense"},
        {"limit": 0},
        {"workers": -1},
    ],
    ids=str,
)
def test_it_says_of_a_job_what_the_job_itself_says(change):
    assert (errors(GIVEN | change) == []) == accepted(GIVEN | change)
