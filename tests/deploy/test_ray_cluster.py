"""`deploy/ray-cluster` against Ray's own schema and, inside node_config, against the clouds' APIs.

Ray's schema takes anything as node_config. What EC2 takes is in botocore's model of RunInstances,
what Compute Engine takes in the discovery document that google-api-python-client ships.
"""

import copy
import json
from importlib.resources import files

import botocore.session
import jsonschema
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import fillout_defaults, validate_config

from tests.deploy.kubernetes import DEPLOY


def cluster(name):
    return yaml.safe_load((DEPLOY / "ray-cluster" / f"{name}.yaml").read_text())


def check_ec2(config):
    model = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances")
    return ParamValidator().validate(config, model.input_shape).generate_report()


def strict(schema):
    """A schema of Google's discovery format as strict JSON schema."""
    out = {k: v for k, v in schema.items() if k in ("type", "enum", "items", "properties")}
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    if out.get("type") == "any":
        out.pop("type")
    if schema.get("format") in ("int64", "uint64"):
        out["type"] = ["string", "integer"]
    if "items" in schema:
        out["items"] = strict(schema["items"])
    if schema.get("type") == "object":
        out["properties"] = {k: strict(v) for k, v in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        out["additionalProperties"] = strict(more) if more else False
    return out


def check_gcp(config):
    document = files("googleapiclient") / "discovery_cache" / "documents" / "compute.v1.json"
    schemas = {k: strict(v) for k, v in json.loads(document.read_text())["schemas"].items()}
    validator = jsonschema.Draft202012Validator(schemas["Instance"] | {"$defs": schemas})
    return "\n".join(f"{e.json_path}: {e.message}" for e in validator.iter_errors(config))


CHECKS = {"aws": check_ec2, "gcp": check_gcp}


def node_mistakes(name, config):
    """What the cloud would refuse in any node_config."""
    if name == "aws":  # Ray adds the counts
        config = {k: {**v, "MinCount": 1, "MaxCount": 1} for k, v in config.items()}
    return "\n".join(filter(None, map(CHECKS[name], config.values())))


def node_configs(config):
    return {k: v["node_config"] for k, v in config["available_node_types"].items()}


@pytest.mark.parametrize("name", CHECKS)
def test_a_cluster_is_valid(name):
    config = cluster(name)
    validate_config(fillout_defaults(config))
    assert node_mistakes(name, node_configs(config)) == ""


@pytest.mark.parametrize("name", CHECKS)
def test_a_broken_copy_is_rejected_by_ray(name):
    broken = cluster(name)
    broken["idle_timeout_minute"] = broken.pop("idle_timeout_minutes")
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minute"):
        validate_config(fillout_defaults(broken))
    broken = cluster(name) | {"head_node_type": "haed"}
    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(fillout_defaults(broken))


def test_a_broken_node_is_rejected_by_ec2():
    nodes = copy.deepcopy(node_configs(cluster("aws")))
    options = nodes["a10g-spot"]["InstanceMarketOptions"]
    options["SpotOption"] = options.pop("SpotOptions")
    assert "SpotOption" in node_mistakes("aws", nodes)


def test_a_broken_node_is_rejected_by_compute_engine():
    nodes = copy.deepcopy(node_configs(cluster("gcp")))
    nodes["l4-spot"]["scheduling"]["provisioningModel"] = "spot"
    nodes["l4-spot"]["schedulling"] = {}
    found = node_mistakes("gcp", nodes)
    assert "'spot' is not one of" in found and "schedulling" in found


SPOT = {
    "aws": lambda node: node.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
    "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
}


@pytest.mark.parametrize("name", CHECKS)
def test_workers_are_spot_with_a_gpu_and_the_head_is_neither(name):
    config = cluster(name)
    types = config["available_node_types"]
    workers = set(types) - {config["head_node_type"]}
    assert {key for key, node in node_configs(config).items() if SPOT[name](node)} == workers
    assert {key for key, node in types.items() if "GPU" in node["resources"]} == workers


@pytest.mark.parametrize("name", CHECKS)
def test_the_nodes_share_a_token_and_the_dashboard_is_not_open(name):
    config = cluster(name)
    assert config["file_mounts"] == {"/home/xaipipe/.ray/auth_token": "~/.ray/auth_token"}
    (start,) = [c for c in config["head_start_ray_commands"] if "--head" in c]
    assert "--dashboard-host=127.0.0.1" in start
    assert "--num-cpus=0" in start
