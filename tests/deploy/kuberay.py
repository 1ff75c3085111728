"""KubeRay's RayJob and RayCronJob as a strict JSON schema: unknown fields are errors.

Fields, types and bounds are those of the CRD reference of KubeRay 1.7.0 (ray-project/kuberay,
docs/reference/api.md, generated from the CRDs' Go types; Apache-2.0), written down by hand. CRDs
repeat Kubernetes' pod template in each place; here it is referred to, in the strict form that
`kubernetes-validate` ships. What CRDs and operator check by rules of their own is in `RULES`.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from tests.deploy.kubernetes import core, registry

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
INT32: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
COUNT: Schema = INT32 | {"minimum": 0}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}


def record(*required: str, **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def several(item: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": item, **more}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


POD = core("core.v1.PodTemplateSpec")
RESOURCES = core("core.v1.ResourceRequirements")
ENV = several(core("core.v1.EnvVar"))
MANAGED_BY = one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue")
POLICY = one_of("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone")
CREDENTIAL = record(value=STRING, valueFrom=core("core.v1.EnvVarSource"))

AUTH = record(mode=one_of("disabled", "token"), secretName=STRING, enableK8sTokenAuth=BOOLEAN)

AUTOSCALER = record(
    resources=RESOURCES,
    image=STRING,
    imagePullPolicy=STRING,
    securityContext=core("core.v1.SecurityContext"),
    idleTimeoutSeconds=INT32,
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    version=one_of("v1", "v2"),
    env=ENV,
    envFrom=several(core("core.v1.EnvFromSource")),
    volumeMounts=several(core("core.v1.VolumeMount")),
    command=several(STRING),
    args=several(STRING),
)

FAULT_TOLERANCE = record(
    backend=one_of("redis", "rocksdb"),
    redisUsername=CREDENTIAL,
    redisPassword=CREDENTIAL,
    externalStorageNamespace=STRING,
    redisAddress=STRING,
    storage=record(
        claimName=STRING,
        size={"type": ["string", "integer"]},
        storageClassName=STRING,
        accessModes=several(STRING),
        subPath=STRING,
        deletionPolicy=one_of("DeleteWithCluster", "Retain"),
    ),
)

RULES_OF_NETWORK = {
    "ingressRules": several(core("networking.v1.NetworkPolicyIngressRule")),
    "egressRules": several(core("networking.v1.NetworkPolicyEgressRule")),
}
NETWORK = record(
    mode=one_of("DenyAll", "DenyAllIngress", "DenyAllEgress"),
    head=record(**RULES_OF_NETWORK),
    worker=record(**RULES_OF_NETWORK),
    workerGroups=several(record("groupName", groupName=STRING, **RULES_OF_NETWORK)),
)

HEAD = record(
    "template",
    template=POD,
    headService=core("core.v1.Service"),
    enableIngress=BOOLEAN,
    ingressOptions=record(
        host=STRING,
        path=STRING,
        pathType=one_of("Exact", "Prefix", "ImplementationSpecific"),
        tls=several(core("networking.v1.IngressTLS")),
    ),
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    serviceType=STRING,
)

WORKERS = record(
    *("groupName", "minReplicas", "maxReplicas", "template"),
    suspend=BOOLEAN,
    groupName=STRING,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=INT32,
    priority=INT32,
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    template=POD,
    scaleStrategy=record(workersToDelete=several(STRING)),
    numOfHosts=INT32,
)

CLUSTER = record(
    "headGroupSpec",
    upgradeStrategy=record(type=one_of("Recreate", "None")),
    authOptions=AUTH,
    suspend=BOOLEAN,
    managedBy=MANAGED_BY,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=STRINGS,
    enableInTreeAutoscaling=BOOLEAN,
    gcsFaultToleranceOptions=FAULT_TOLERANCE,
    historyServerOptions=record(
        collectorOptions=record(image=STRING, imagePullPolicy=STRING, resources=RESOURCES, env=ENV)
    ),
    networkPolicy=NETWORK,
    tlsOptions=record(enabled=BOOLEAN),
    headGroupSpec=HEAD,
    rayVersion=STRING,
    workerGroupSpecs=several(WORKERS),
)

DELETION_RULE = record(
    *("policy", "condition"),
    policy=POLICY,
    condition=record(
        jobStatus=one_of("SUCCEEDED", "FAILED"),
        jobDeploymentStatus=one_of("Failed"),
        ttlSeconds=COUNT,
    ),
)

JOB = record(
    activeDeadlineSeconds=INT32 | {"minimum": 1},
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER,
    submitterPodTemplate=POD,
    metadata=STRINGS,
    clusterSelector=STRINGS,
    submitterConfig=record(backoffLimit=COUNT),
    managedBy=MANAGED_BY,
    deletionStrategy=record(
        onSuccess=record(policy=POLICY),
        onFailure=record(policy=POLICY),
        deletionRules=several(DELETION_RULE, minItems=1),
    ),
    entrypoint=STRING,
    runtimeEnvYAML=STRING,
    jobId=STRING,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=STRING,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=COUNT,
    preRunningDeadlineSeconds=INT32 | {"minimum": 1},
    shutdownAfterJobFinishes=BOOLEAN,
    suspend=BOOLEAN,
)

CRON_JOB = record(
    *("jobTemplate", "schedule"),
    jobTemplate=JOB,
    schedule=STRING,
    timeZone=STRING | {"minLength": 1},
    suspend=BOOLEAN,
)

KINDS = {"RayJob": JOB, "RayCronJob": CRON_JOB}


def mistakes(document: Schema) -> list[str]:
    """What KubeRay would refuse or drop, each as PATH: MESSAGE; empty if nothing."""
    spec = KINDS[document["kind"]]
    whole = record(
        *("apiVersion", "kind", "metadata", "spec"),
        apiVersion=one_of("ray.io/v1"),
        kind=one_of(document["kind"]),
        metadata=core("meta.v1.ObjectMeta"),
        spec=spec,
    )
    validator = Draft202012Validator(whole, registry=registry())
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    job = document["spec"].get("jobTemplate", document["spec"])
    return found + [text for broken, text in RULES if broken(document, job)]


RULES = [
    (lambda d, j: len(d["metadata"].get("name", "")) > 47, "a name has 47 characters at most"),
    (
        lambda d, j: j.get("ttlSecondsAfterFinished") and not j.get("shutdownAfterJobFinishes"),
        "ttlSecondsAfterFinished needs shutdownAfterJobFinishes",
    ),
    (
        lambda d, j: ("rayClusterSpec" in j) == ("clusterSelector" in j),
        "one of rayClusterSpec and clusterSelector",
    ),
    (
        lambda d, j: (
            "deletionRules" in j.get("deletionStrategy", {}) and j.get("shutdownAfterJobFinishes")
        ),
        "deletionRules and shutdownAfterJobFinishes exclude each other",
    ),
]
