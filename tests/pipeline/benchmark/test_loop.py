"""The loop that a benchmark times: its passes are counted, and its steps are taken apart."""

import pytest
import torch

from inr_core import METHODS
from pipeline import Request, load_job
from pipeline.benchmark.loop import Loop, prepared
from pipeline.benchmark.passes import BarePasses, Calls, PassCounter
from pipeline.benchmark.step_profile import StepParts, profile_step
from pipeline.manifest.manifest import Manifest
from pipeline.run.worker import ShardWorker
from pipeline.shapes import CLASSES


def loop_of(manifest, **given):
    job = load_job(None, {"manifest": manifest, "model": "builtin:shapes", "workers": 0, **given})
    worker = ShardWorker(Request(job).worker_spec())
    batches = prepared(worker, list(Manifest(manifest, classes=CLASSES)))
    return Loop(worker, PassCounter(worker.classifier.module), job.method, job.config), batches


@pytest.mark.parametrize(
    ("method", "given", "gradient"),
    [
        ("inr", {"steps": 3, "rounds": 2, "restarts": 2, "round_score": 0.0}, True),
        ("pixels", {"steps": 3}, True),
        ("gradcam", {}, True),
        ("rise", {"samples": 9}, False),
    ],
)
def test_passes_are_counted_as_the_classifier_sees_them(manifest, method, given, gradient):
    loop, batches = loop_of(manifest, method=method, areas=[0.1, 0.3], **given)
    loop(batches[0])  # the classifier's feature map is looked for once
    loop.counter.take()
    seen, back = [], []

    def see(module, inputs):
        seen.append((len(inputs[0]), torch.is_grad_enabled() and inputs[0].requires_grad))

    def see_back(module, inputs, outputs):
        if outputs.requires_grad:
            outputs.register_hook(lambda grad: back.append(len(grad)))

    loop.worker.classifier.module.register_forward_pre_hook(see)
    loop.worker.classifier.module.register_forward_hook(see_back)
    loop(batches[0])
    calls = loop.counter.take()
    assert list(calls.with_gradient) == [n for n, wanted in seen if wanted] == back
    assert list(calls.forward_only) == [n for n, wanted in seen if not wanted]
    scores = sum(calls.of_passes) - METHODS[method].passes(loop.config)
    # soft and hard masks of two areas, kept and removed; four halvings where an area keeps enough
    assert scores in ((0,) if gradient else (8, 12))
    assert bool(calls.with_gradient) == gradient
    assert loop.counter.take() == Calls((), ())

    seen.clear(), back.clear()
    BarePasses(loop.worker.classifier.module, calls, batches[0].image_BCHW)()
    assert seen == [(n, gradient) for n in calls.of_passes]
    assert back == list(calls.with_gradient)


def test_the_profile_records_graphs_only_where_the_loop_does(manifest, monkeypatch):
    recorded = []
    for module in ("pipeline.benchmark.step_profile", "inr_core.optimisation.slots"):
        monkeypatch.setattr(f"{module}.replayed", lambda work, device: recorded.append(1) or work)
    for compile_ in (False, True):
        loop, batches = loop_of(manifest, steps=3, areas=[0.1], compile=False)
        loop.worker.microbatch.record = compile_
        profile_step(loop, batches[0])
        assert bool(recorded) == compile_


@pytest.mark.parametrize(("weight", "together"), [(0.0, 2), (1.0, 1)])
def test_parts_of_a_step_have_the_shapes_of_the_loop(manifest, weight, together):
    """Of two restarts, together where they are independent."""
    given = {"steps": 3, "restarts": 2, "areas": [0.1, 0.3], "start.kind": "random"}
    given["objective.repel_weight"] = weight
    loop, batches = loop_of(manifest, microbatch=64, **given)
    calls = loop.calls(batches[0]).with_gradient
    parts = StepParts(loop, batches[0])
    areas = (parts.slots.canvas.weight_P * parts.mask_NAP).sum(-1)
    torch.testing.assert_close(areas, parts.area_NA, atol=1e-4, rtol=0)
    assert len(parts.slots) == together
    # the images of each of three steps, again for a restart that waits
    assert calls == (len(parts.shown),) * 3 * (2 // together)
    for work in parts.works().values():
        work()


def test_the_slots_of_the_profile_go_to_the_end_of_the_schedule(manifest):
    loop, batches = loop_of(manifest, steps=20)
    slots = StepParts(loop, batches[0]).slots
    begin = slots.held.theta_NK.clone()
    slots.advance()
    assert slots.finished([0]) == [0]
    assert not torch.equal(slots.held.theta_NK, begin)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_the_profile_of_a_step_covers_rounds_and_presets(manifest, preset):
    loop, batches = loop_of(manifest, preset=preset, rounds=2, areas=[0.1, 0.3])
    step = profile_step(loop, batches[0])
    whole = step["step"]
    parts = {name: s for name, s in step.items() if name not in ("step", "other")}
    assert len(parts) == 6 and min(parts.values()) > 0
    assert sum(parts.values()) + step["other"] == pytest.approx(whole)
    assert loop.config.rounds == 2
