"""The whole method as a GPU sees it: what is recorded, what a step may touch, what may run out.

A stub takes the place of CUDA graphs. On the meta device there are no values: in a step nothing can
ask for one, nor use a tensor that lies elsewhere. Between steps, values are made up.
"""

import dataclasses
from collections import Counter
from contextlib import nullcontext
from functools import cache

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inr_core import (
    CaptureFailed,
    InrConfig,
    MaskConfig,
    MicroBatch,
    ObjectiveConfig,
    OptimiseConfig,
    PerturbationConfig,
    SirenConfig,
    StartConfig,
    rounds,
)
from inr_core.explain import explain_together
from inr_core.game import scenes
from inr_core.masks import area
from inr_core.metrics import final
from inr_core.optimisation import fit, slots, start
from tests.variants import variants

SIZE, IMAGES, SLOTS = 16, 6, 8
NETWORK = SirenConfig(hidden_width=8, sine_layers=2, conditioned=False)
CONFIG = InrConfig(
    areas=(0.1, 0.2),
    restarts=3,
    rounds=2,
    round_score=0.0,
    mask=MaskConfig(network=NETWORK, stride=2, points=6),
    start=StartConfig(passes=2, fit_steps=3),
    optimise=OptimiseConfig(steps=4, areas_per_step=2),
)
CORNERS = slice(6), slice(10, SIZE)
PRECISION = {
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}
SAMPLES = 2  # of a network in a step: two areas, one side
EXHAUSTED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


def corner(image):
    """Class 1 by the upper left corner, class 2 by the opposite one."""
    here, there = (
        image[:, :, part, part].to(PRECISION[image.dtype]).mean((1, 2, 3)) for part in CORNERS
    )
    return torch.stack([torch.zeros_like(here), 3 * here, 3 * there], 1)


def explained(microbatch, config=CONFIG, device="cpu", images=IMAGES):
    image = torch.rand(images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    if device == "cpu":  # so that no rounding is large enough for Adam
        image = image.double()
    target, score = torch.arange(images) % 2 + 1, torch.full((images,), 0.5)
    ((scene, _),) = scenes(image.to(device), target.to(device), config.perturbation, None, images)
    ids = [f"image-{n}" for n in range(images)]
    return explain_together(scene, score, ids, corner, config, seed=0, microbatch=microbatch)


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors are tiny: threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Recorder:
    """In the place of `replayed`: calls the work before, counts it, and is around every replay.

    captures  work recorded, by what it belongs to and for how many networks
    around    entered for each call
    """

    def __init__(self, monkeypatch, around=nullcontext):
        self.captures, self.around, self.steps = Counter(), around, 0
        for module in (slots, fit):
            monkeypatch.setattr(module, "replayed", self.replayed)

    def replayed(self, work, device):
        owner = work.__self__
        count = len(owner.held if isinstance(owner, slots.Slots) else owner.theta_MK)
        self.captures[type(owner).__name__, count] += 1

        def replay():
            self.steps += 1
            with self.around():
                work()

        for _ in range(3):
            replay()
        return replay


class MadeUp(TorchFunctionMode):
    """Values for the meta device where the method may wait for them: clocks at their end."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in ("tolist", "cpu") and args[0].device.type == "meta":
            value = CONFIG.optimise.steps if args[0].dtype == torch.long else 0.5
            made = torch.full(args[0].shape, value, dtype=args[0].dtype)
            return getattr(made, name)()
        return function(*args, **(kwargs or {}))


class InAStep(TorchDispatchMode):
    """Nothing but tensors of the meta device takes part."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs or {}, result)):
            if isinstance(tensor, torch.Tensor):
                assert tensor.device.type == "meta", f"{function} uses a tensor of the CPU"
        return result


@dataclasses.dataclass
class NoValues:
    """Around a step: `MadeUp` is off, `InAStep` is on."""

    def __enter__(self):
        self.off = torch._C.DisableTorchFunction()
        self.off.__enter__()
        self.on = InAStep()
        self.on.__enter__()

    def __exit__(self, *error):
        self.on.__exit__(*error)
        self.off.__exit__(*error)


VARIANTS = {
    "default": {},
    "half the bytes": {"dtype": torch.bfloat16},
    "early ends": {"optimise": OptimiseConfig(steps=4, enough=-0.1, cooldown=2)},
    "two levels": {"perturbation": PerturbationConfig(sigmas=(0.1, 0.2))},
    "pyramid": {"perturbation": PerturbationConfig(kind="pyramid", sigmas=(0.1, 0.2))},
    "vecsort": {"mask": dataclasses.replace(CONFIG.mask, area="vecsort", points=None)},
    "dual": {"objective": ObjectiveConfig(game="dual")},
}


@pytest.mark.parametrize("changes", variants(VARIANTS.values()), ids=VARIANTS)
def test_no_step_waits_for_a_value_or_uses_the_cpu(changes, monkeypatch):
    # All iterations are alike, and made up of operations that are slow on the meta device.
    monkeypatch.setitem(area.ITERATIONS, torch.float32, 2)
    recorder, changes = Recorder(monkeypatch, NoValues), {**changes}
    microbatch = MicroBatch(8, dtype=changes.pop("dtype", None))
    with MadeUp():
        found = explained(microbatch, dataclasses.replace(CONFIG, **changes), "meta", images=2)
    assert [len(of_image) for of_image in found] == [6] * 2
    assert {name for name, _ in recorder.captures} == {"Slots", "Fit"}
    assert recorder.steps > 20


@pytest.mark.parametrize("bad", ["item", "cpu"])
def test_the_check_sees_a_step_that_does(bad, monkeypatch):
    Recorder(monkeypatch, NoValues)

    def classify(image):
        if bad == "item":
            return corner(image) * (1.0 if image.sum() > 0 else 2.0)
        return corner(image) + torch.arange(3.0)[:, None].T

    monkeypatch.setitem(globals(), "corner", classify)
    with pytest.raises((RuntimeError, AssertionError, NotImplementedError)), MadeUp():
        explained(MicroBatch(8), device="meta", images=2)


def test_every_size_is_recorded_once_and_a_second_batch_records_nothing(monkeypatch):
    recorder, microbatch = Recorder(monkeypatch), MicroBatch(SLOTS * SAMPLES)
    first = explained(microbatch)
    assert set(recorder.captures.values()) == {1}
    assert len(recorder.captures) <= 2 * 4  # slots and fits of four sizes
    before = recorder.captures.copy()
    again = explained(microbatch)
    assert recorder.captures == before
    assert_same(again, first, exact=True)


@cache
def undisturbed():
    return explained(MicroBatch(SLOTS * SAMPLES))


def assert_same(found, wanted, exact=False):
    for of_image, of_wanted in zip(found, wanted, strict=True):
        for one, other in zip(of_image, of_wanted, strict=True):
            same = dict(best=None, objective=None, parameters=None, masks=None, kept=None)
            same |= dict(removed=None, minimal_area=None, hard_kept=None, hard_removed=None)
            assert dataclasses.replace(one, **same) == dataclasses.replace(other, **same)
            atol = 0 if exact else 2e-3  # of parameters that are rounded to float16
            torch.testing.assert_close(one.parameters, other.parameters, atol=atol, rtol=0)
            assert one.kept == pytest.approx(other.kept, abs=atol)
            assert (one.masks.int() - other.masks.int()).abs().max() <= 255 * atol * 4


def once(function, error, at):
    """The function, which raises instead at one of its calls."""
    calls = []

    def call(*given, **named):
        calls.append(1)
        if len(calls) == at:
            raise error
        return function(*given, **named)

    call.calls = calls
    return call


STAGES = {
    "start": (start, "evidence", 1),
    "fit": (fit.Fit, "__call__", 2),
    "recording": (slots.Slots, "_step", 1),
    "recording a fit": (fit.Fit, "_step", 1),
    "step": (slots.Slots, "_step", 9),
    "later step": (slots.Slots, "_step", 14),
    "filling": (slots.Slots, "put", 2),
    "rendering": (rounds, "render", 2),
    "scoring": (final, "mask_scores", 3),
    "keeping": (rounds, "final_objective", 2),
}


def every_stage_and_error():
    """With every change each stage is tested with one error, and each error at two stages."""
    for n, (name, stage) in enumerate(STAGES.items()):
        for m, error in enumerate(EXHAUSTED):
            marks = [] if m == n % len(EXHAUSTED) else [pytest.mark.long]
            yield pytest.param(stage, error, id=f"{name}-{str(error)[:30]}", marks=marks)


@pytest.mark.parametrize(("stage", "error"), [*every_stage_and_error()])
def test_memory_that_runs_out_anywhere_changes_no_result(stage, error, monkeypatch):
    Recorder(monkeypatch)
    wanted = undisturbed()
    place, name, at = stage
    failing = once(getattr(place, name), error, at)
    function = failing if place in (start, rounds, final) else lambda *given: failing(*given)
    monkeypatch.setattr(place, name, function)
    microbatch = MicroBatch(SLOTS * SAMPLES)
    assert_same(explained(microbatch), wanted)
    assert len(failing.calls) > at and microbatch.images < SLOTS * SAMPLES
    assert microbatch.occupancy.used == IMAGES * 3 * 2 * CONFIG.optimise.steps


def test_a_network_that_never_fits_is_an_error_at_last(monkeypatch):
    Recorder(monkeypatch)

    def step(self):
        raise EXHAUSTED[2]

    monkeypatch.setattr(slots.Slots, "_step", step)
    with pytest.raises(RuntimeError, match="CUDNN_STATUS_ALLOC_FAILED"):
        explained(MicroBatch(SLOTS * SAMPLES))


@pytest.mark.parametrize("module", [slots, fit])
def test_a_capture_that_fails_ends_the_call(module, monkeypatch):
    """Nothing is halved or done again here: this process cannot go on."""
    Recorder(monkeypatch)
    calls = []

    def replayed(work, device):
        calls.append(1)
        raise CaptureFailed("steps cannot become a CUDA graph: no") from EXHAUSTED[0]

    monkeypatch.setattr(module, "replayed", replayed)
    microbatch = MicroBatch(SLOTS * SAMPLES)
    with pytest.raises(CaptureFailed):
        explained(microbatch)
    assert len(calls) == 1 and microbatch.images == SLOTS * SAMPLES
