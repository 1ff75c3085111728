"""What was run, in words: the facts on top of the page and all settings below."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from inr_core import METHODS
from pipeline.images import by
from pipeline.report.text import percent
from pipeline.run import Status
from pipeline.tables import RunReader

Facts = list[tuple[str, str]]


def facts(reader: RunReader, status: Status) -> Facts:
    """Name and value of what a reader of the page should know about the run."""
    plans = reader.folder.plans()
    fingerprint = reader.fingerprint
    plan = plans[-1] if plans else {}
    shown: Facts = [
        ("run", reader.store.uri),
        ("state", _state(status)),
        ("started", _moment(plans[0].get("started")) if plans else "not yet"),
        ("manifest", plan.get("manifest", "unknown")),
        ("classifier", f"{fingerprint['model']}, {fingerprint['precision']}"),
        ("weights", _weights(plan, fingerprint)),
        ("input", _input(fingerprint["preprocess"])),
        ("method", _method(reader)),
        ("classes", _classes(fingerprint)),
        ("areas", ", ".join(percent(area) for area in reader.config.areas)),
        ("perturbation", _perturbation(fingerprint["perturbation"])),
    ]
    return shown + [(name, value) for name, value in _effort(fingerprint) if value]


def images(status: Status) -> str:
    """How many images are explained, failed and to go."""
    text = f"{status.explained} explained, {status.failed} failed"
    return f"{text}, {status.pending} to go" if status.pending else text


def settings(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of the fingerprint by dotted name."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from settings(value, f"{name}.{key}" if name else key)
    else:
        yield name, content if isinstance(content, str) else json.dumps(content)


def _effort(fingerprint: dict[str, Any]) -> Facts:
    optimise = fingerprint.get("optimise", {})
    start = fingerprint.get("start", {})
    return [
        ("game", fingerprint.get("objective", {}).get("game", "")),
        ("steps", str(optimise.get("steps", fingerprint.get("steps", "")))),
        ("start", start.get("kind", "")),
        ("restarts", str(fingerprint.get("restarts", ""))),
        ("rounds", str(fingerprint.get("rounds", ""))),
        ("seed", str(fingerprint["seed"])),
    ]


def _method(reader: RunReader) -> str:
    name = reader.fingerprint["method"]
    passes = METHODS[name].passes(reader.config)
    return f"{name}, {passes} classifier passes an image" if passes else name


def _classes(fingerprint: dict[str, Any]) -> str:
    """Which are explained, against what, and what their scores are."""
    contrast = fingerprint.get("objective", {}).get("contrast")
    against = "" if contrast is None else f", against {_class(contrast)}"
    scores = ", scores by sigmoid" if fingerprint.get("head") == "sigmoid" else ""
    rule = fingerprint.get("targets")
    return (rule or "the manifest's target, else the top 1") + against + scores


def _class(contrast: int | str) -> str:
    return contrast if isinstance(contrast, str) else f"class {contrast}"


def _weights(plan: dict[str, Any], fingerprint: dict[str, Any]) -> str:
    file = plan.get("job", {}).get("weights")
    return f"{file} ({fingerprint['weights']})" if file else str(fingerprint["weights"])


def _input(preprocess: dict[str, Any]) -> str:
    crop = by(preprocess["crop"])
    if "processor" in preprocess:
        return f"by {preprocess['processor']['image_processor_type']} to {crop} px"
    fit = {"crop": "cropped", "squash": "squashed, cut", "pad": "padded"}
    how = fit[preprocess.get("fit", "crop")]
    channels = f", {preprocess['channels']}" if "channels" in preprocess else ""
    return f"resized to {by(preprocess['resize'])}, {how} to {crop} px{channels}"


def _perturbation(config: dict[str, Any]) -> str:
    kind = str(config["kind"])
    sigmas = ", ".join(percent(s) for s in config.get("sigmas") or ())
    return f"{kind}, sigma {sigmas} of the side" if kind in ("blur", "pyramid") else kind


def _state(status: Status) -> str:
    if status.state is None:
        return "not finished"
    return f"{status.state} {_moment(status.ended)}"


def _moment(seconds: float | None) -> str:
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
