"""The settings of a job one by one, each with where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.job.job import Job, dotted, load_job, read_job_file

MISSING = {"manifest": "-", "model": "-"}  # stand in for what only a run needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value of a job.

    name    dotted: `optimise.steps`
    origin  `default`, `preset NAME`, the name of the job file, `flag`, or `not given`
    """

    name: str
    value: Any
    origin: str


def settings_of(file: str | None, overrides: Mapping[str, Any]) -> list[Setting]:
    """Everything that `load_job` makes of a job file and flags; RequestError as there.

    A manifest and a classifier may be missing.
    """
    job = load_job(file, overrides, otherwise=MISSING)
    given = {name: value for name, value in overrides.items() if value is not None}
    return list(_settings(job, file, given))


def _settings(job: Job, file: str | None, given: Mapping[str, Any]) -> Iterator[Setting]:
    by_flag, by_file = _names(given), _names(read_job_file(file) if file else {})
    changed = {} if job.preset == "default" else _changed(job.preset)
    for name, value in _flat(job.resolved()).items():
        origin = "default"
        if name in changed:
            origin = f"preset {job.preset}"
        if name in by_file:
            origin = str(file)
        if name in by_flag:
            origin = "flag"
        if origin == "default" and name in MISSING:
            value, origin = None, "not given"
        yield Setting(name=name, value=value, origin=origin)


def _names(data: Mapping[str, Any]) -> set[str]:
    """Settings that data decide; `steps` is a short name of another one."""
    names = set(dotted(data))
    return names | {"optimise.steps"} if "steps" in names else names


def _changed(preset: str) -> set[str]:
    """Settings that a preset has otherwise than the default."""
    both = [load_job(None, {**MISSING, "preset": name}).resolved() for name in (preset, "default")]
    ours, default = map(_flat, both)
    return {name for name, value in ours.items() if value != default[name]}


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and key != "select":
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
