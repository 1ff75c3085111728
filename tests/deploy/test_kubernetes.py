"""Kubernetes' own kinds in `deploy/kuberay` against its schemas; the CronJob fits together."""

import copy

import kubernetes_validate
import pytest

from tests.deploy.kubernetes import VERSION, document, documents

FILES = ("kuberay/setup.yaml", "kuberay/cronjob.yaml")
ALL = {f"{d['kind']} {d['metadata']['name']}": d for name in FILES for d in documents(name)}


@pytest.mark.parametrize("name", ALL)
def test_a_document_is_valid(name):
    assert kubernetes_validate.validate(ALL[name], VERSION, strict=True) == VERSION


@pytest.mark.parametrize("name", ALL)
def test_a_broken_copy_is_rejected(name):
    broken = copy.deepcopy(ALL[name])
    broken["metadata"]["lables"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="lables"):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_a_policy_that_is_none_is_rejected():
    broken = copy.deepcopy(document("kuberay/cronjob.yaml", "CronJob"))
    broken["spec"]["concurencyPolicy"] = broken["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_nights_never_overlap_and_only_what_may_pass_is_tried_again():
    spec = document("kuberay/cronjob.yaml", "CronJob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    fail = [r for r in job["podFailurePolicy"]["rules"] if r["action"] == "FailJob"]
    assert [r["onExitCodes"]["values"] for r in fail] == [[2, 3]]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # or the policy is refused
    run = document("kuberay/rayjob.yaml", "RayJob")["spec"]
    assert run["backoffLimit"] == 0  # one place tries again
    assert run["activeDeadlineSeconds"] < job["activeDeadlineSeconds"]


def test_the_account_may_do_what_the_script_does_and_no_more():
    role = document("kuberay/cronjob.yaml", "Role")
    (rule,) = role["rules"]
    assert rule == {
        "apiGroups": ["ray.io"],
        "resources": ["rayjobs"],
        "verbs": ["create", "get", "delete"],
    }
    binding = document("kuberay/cronjob.yaml", "RoleBinding")
    pod = document("kuberay/cronjob.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["name"] == pod["spec"]["serviceAccountName"]
    accounts = [d for d in ALL.values() if d["kind"] == "ServiceAccount"]
    assert pod["spec"]["serviceAccountName"] in [a["metadata"]["name"] for a in accounts]


def test_everything_is_in_one_namespace():
    (namespace,) = [d["metadata"]["name"] for d in ALL.values() if d["kind"] == "Namespace"]
    rest = [d for d in ALL.values() if d["kind"] != "Namespace"]
    rest += documents("kuberay/rayjob.yaml") + documents("kuberay/raycronjob.yaml")
    assert {d["metadata"]["namespace"] for d in rest} == {namespace}
