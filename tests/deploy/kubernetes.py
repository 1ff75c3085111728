"""Kubernetes' own kinds, from the strict schemas that `kubernetes-validate` ships."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from referencing import Registry, Resource

VERSION = "1.34"
DEPLOY = Path(__file__).parents[2] / "deploy"


@cache
def _definitions() -> dict[str, Any]:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    found: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())
    return found


def registry() -> Registry:
    """Where references that `core` makes are looked up."""
    return Resource.from_contents(_definitions()) @ Registry()


def core(name: str) -> dict[str, Any]:
    """A reference to a definition such as `core.v1.PodTemplateSpec`."""
    prefix = "io.k8s.apimachinery.pkg.apis." if name.startswith("meta.") else "io.k8s.api."
    return {"$ref": f"{_definitions()['$id']}#/$defs/{prefix}{name}"}


def documents(name: str) -> list[dict[str, Any]]:
    """Those of a file of `deploy/`."""
    return [each for each in yaml.safe_load_all((DEPLOY / name).read_text()) if each]


def document(name: str, kind: str) -> dict[str, Any]:
    """The only one of its kind in a file of `deploy/`."""
    (found,) = [each for each in documents(name) if each["kind"] == kind]
    return found
