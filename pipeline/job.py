"""The job: everything a person can ask of a run, validated, from a file and from flags.

Keys of the job file and names of the flags are the same; flags win. The method's settings are
those of `inr_core.InrConfig`, by name: areas, restarts, rounds, mask.stride, optimise.steps, ...
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import fsspec
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from inr_core import PRESETS, InrConfig
from pipeline.errors import RequestError

EXAMPLE = "torchvision:resnet50"


class Job(BaseModel):
    """One run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest: str
    out: str | None = None
    root: str | None = None
    select: dict[str, str] = {}
    limit: Annotated[int, Field(ge=1)] | None = None
    model: str
    weights: str | None = None
    preprocess: str | None = None
    method: Literal["inr"] = "inr"
    preset: str = "default"
    baseline: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    gpus: Annotated[int, Field(ge=0)] | None = None
    workers: Annotated[int, Field(ge=0)] | None = None
    address: str | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    microbatch: Annotated[int, Field(ge=1)] | None = None
    shard_size: Annotated[int, Field(ge=1)] | None = None
    retry_failed: bool = False
    overwrite: bool = False
    steps: Annotated[int, Field(ge=1)] | None = None
    config: InrConfig

    def resolved(self) -> dict[str, Any]:
        """The whole job as plain data that `load_job` accepts again."""
        data = self.model_dump(mode="json", exclude={"config", "steps", "preset"})
        return {**data, **dataclasses.asdict(self.config)}


JOB_KEYS = tuple(name for name in Job.model_fields if name != "config")


def load_job(file: str | None, overrides: Mapping[str, Any]) -> Job:
    """A validated job from a job file (YAML or JSON, path or URL) and overriding values.

    overrides  dotted or plain names to values; None means not given
    Raises RequestError naming the key, what was found, and the nearest known key.
    """
    data = _read(file) if file else {}
    where = file or "options"
    for name, value in overrides.items():
        if value is not None:
            _set(data, name, value)
    check_keys(data, where)
    preset = data.get("preset", "default")
    if preset not in PRESETS:
        raise RequestError(f"preset: {preset!r} is unknown; expected {' or '.join(PRESETS)}")
    method = _merge(dataclasses.asdict(PRESETS[preset]), data)
    if data.get("steps") is not None:
        method["optimise"]["steps"] = data["steps"]
    rest = {k: v for k, v in data.items() if k in JOB_KEYS}
    if "manifest" not in rest:
        raise RequestError(f"{where}: no manifest; give it as first argument or as `manifest:`")
    if "model" not in rest:
        raise RequestError(f"{where}: no classifier; give one, for example --model {EXAMPLE}")
    try:
        config = TypeAdapter(InrConfig).validate_python(method)
        job = Job(**rest, config=config)
    except ValidationError as error:
        raise RequestError(_explain_invalid(error, where)) from error
    if (config.perturbation.kind == "custom") != (job.baseline is not None):
        raise RequestError(
            "a baseline image and perturbation.kind=custom belong together: give both "
            "(--baseline FILE --set perturbation.kind=custom) or neither"
        )
    return job


def parse_assignment(text: str, flag: str) -> tuple[str, Any]:
    """`a.b=c` with c read as YAML: a number, a list, a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(f"{flag} {text}: expected NAME=VALUE")
    return name, yaml.safe_load(value)


def check_keys(data: Mapping[str, Any], where: str) -> None:
    """Refuse keys that nobody knows, naming the nearest known one."""
    known = _known_keys()
    for name in _dotted(data):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            # `steps` for optimise.step: also compare the last parts
            near = near or [k for k in known if k.split(".")[-1] == name.split(".")[-1]][:1]
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise RequestError(f"{where}: unknown key {name!r}{hint}")


def _known_keys() -> list[str]:
    method = list(_dotted(dataclasses.asdict(PRESETS["default"])))
    return [*JOB_KEYS, *method]


def _dotted(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in data.items():
        if isinstance(value, Mapping) and value and key != "select":
            names += _dotted(value, f"{prefix}{key}.")
        else:
            names.append(f"{prefix}{key}")
    return names


def _read(file: str) -> dict[str, Any]:
    try:
        with fsspec.open(file, "r", encoding="utf-8") as stream:
            data = yaml.safe_load(stream)
    except OSError as error:
        raise RequestError(f"--config {file}: cannot be read: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"--config {file}: not YAML: {error}") from error
    if not isinstance(data, dict):
        raise RequestError(f"--config {file}: expected keys and values, for example `areas: [.1]`")
    return data


def _set(data: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for key in path:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise RequestError(f"{name}: {key!r} is a value, not a section")
        data = inner
    data[last] = value


def _merge(defaults: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with the values of `data` for the same keys, section by section."""
    merged = {}
    for key, default in defaults.items():
        value = data.get(key, default)
        if isinstance(default, dict) and isinstance(value, Mapping):
            value = _merge(default, value)
        merged[key] = value
    return merged


def _explain_invalid(error: ValidationError, where: str) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        found = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
        lines.append(f"{where}: {name + ': ' if name else ''}{message}{found}")
    return "\n".join(lines)
