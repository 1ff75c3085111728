"""RayJob and RayCronJob against KubeRay's fields, and what they say against one another."""

import copy
import re
import subprocess

import pytest

from pipeline import load_job
from tests.deploy.kuberay import mistakes
from tests.deploy.kubernetes import DEPLOY, document, documents

FILES = {"RayJob": "kuberay/rayjob.yaml", "RayCronJob": "kuberay/raycronjob.yaml"}


@pytest.fixture(params=FILES)
def found(request):
    """A RayJob or RayCronJob, and the RayJob's spec within it."""
    whole = copy.deepcopy(document(FILES[request.param], request.param))
    return whole, whole["spec"].get("jobTemplate", whole["spec"])


def pods(job):
    cluster = job["rayClusterSpec"]
    return {
        "submitter": job["submitterPodTemplate"],
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
    }


def test_a_file_is_valid(found):
    assert mistakes(found[0]) == []


BREAK = {
    "a field that KubeRay does not know": (
        lambda whole, job: whole["spec"].update(concurrencyPolicy="Forbid"),
        "concurrencyPolicy",
    ),
    "a misspelt field of the cluster": (
        lambda whole, job: job["rayClusterSpec"].update(rayversion="2.60.0"),
        "rayversion",
    ),
    "a number for a string": (
        lambda whole, job: job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update(
            {"num-cpus": 0}
        ),
        "0 is not of type 'string'",
    ),
    "a misspelt field deep in a pod": (
        lambda whole, job: pods(job)["worker"]["spec"]["containers"][0]["lifecycle"].update(
            prestop={}
        ),
        "prestop",
    ),
    "a mode of authentication that is none": (
        lambda whole, job: job["rayClusterSpec"]["authOptions"].update(mode="password"),
        "password",
    ),
    "a group without bounds": (
        lambda whole, job: job["rayClusterSpec"]["workerGroupSpecs"][0].pop("maxReplicas"),
        "maxReplicas",
    ),
    "a time to live of nothing": (
        lambda whole, job: job.update(shutdownAfterJobFinishes=False),
        "ttlSecondsAfterFinished needs",
    ),
}


@pytest.mark.parametrize("name", BREAK)
def test_a_broken_copy_is_rejected(found, name):
    whole, job = found
    broken, expected = BREAK[name]
    broken(whole, job)
    assert expected in " ".join(mistakes(whole))


def test_both_run_the_same_job():
    cron = document(FILES["RayCronJob"], "RayCronJob")["spec"]["jobTemplate"]
    assert cron == document(FILES["RayJob"], "RayJob")["spec"]


def test_no_pod_is_root_and_each_has_its_grace(found):
    _, job = found
    for pod in pods(job).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 30
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["image"] == "registry.example.com/xaipipe:0.1.0"
    assert job["rayClusterSpec"]["authOptions"]["mode"] == "token"


def test_hooks_and_ray_end_within_the_grace_period(found):
    """Seconds at the most: of the hook's commands, of its loop, and of Ray's own end after it."""
    _, job = found
    for name in ("head", "worker"):
        spec = pods(job)[name]["spec"]
        (container,) = spec["containers"]
        script = container["lifecycle"]["preStop"]["exec"]["command"][-1]
        assert subprocess.run(["bash", "-n", "-c", script]).returncode == 0
        waits = [int(found) for found in re.findall(r"(?:timeout|seq) (\d+)", script)]
        (after,) = [e["value"] for e in container["env"] if "DRAIN_TIMEOUT" in e["name"]]
        assert len(waits) == {"head": 1, "worker": 2}[name]
        assert sum(waits) + float(after) < spec["terminationGracePeriodSeconds"]


def test_every_group_has_a_disruption_budget_that_can_be_met(found):
    _, job = found
    budgets = [each for each in documents("kuberay/setup.yaml") if "Budget" in each["kind"]]
    counts = {"head": 1, "worker": job["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"]}
    for name, count in counts.items():
        labels = pods(job)[name]["metadata"]["labels"].items()
        (budget,) = [b for b in budgets if b["spec"]["selector"]["matchLabels"].items() <= labels]
        assert 0 < budget["spec"]["minAvailable"] <= count
        assert "maxUnavailable" not in budget["spec"]  # needs a scale subresource


def test_the_job_file_is_where_the_driver_looks_and_asks_for_the_workers_there_are(found):
    _, job = found
    spec = pods(job)["head"]["spec"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    (volume,) = spec["volumes"]
    (item,) = volume["configMap"]["items"]
    assert mount["name"] == volume["name"]
    assert f"--config {mount['mountPath']}/{item['path']} " in job["entrypoint"]
    nightly = load_job(str(DEPLOY / "jobs" / "nightly.yaml"), {})
    assert nightly.gpus == job["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"]


def test_the_version_of_ray_is_the_pinned_one(found):
    pins = (DEPLOY.parent / "constraints.txt").read_text().splitlines()
    assert f"ray=={found[1]['rayClusterSpec']['rayVersion']}" in pins
