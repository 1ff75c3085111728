"""How many images the classifier's calls hold: foretold from the settings, and seen."""

from statistics import mode

import pytest
import torch

from inr_core import METHODS, MicroBatch
from pipeline import load_job
from pipeline.run.memory import batch_for, sizes_of_calls
from pipeline.run.spec import WorkerSpec
from tests.memory import FAST
from tests.shards import INDEPENDENT


class Noting(torch.nn.Module):
    """A classifier that notes how many images it sees, with gradient if any call has one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = torch.nn.Conv2d(3, 4, 5, 4), torch.nn.Linear(4, 3)
        self.sizes = {True: [], False: []}

    def forward(self, image):
        self.sizes[torch.is_grad_enabled() and image.requires_grad].append(len(image))
        return self.head(self.conv(image).relu().mean((2, 3)))


STEPS = {"start.kind": "random", "steps": 2}


@pytest.mark.parametrize(
    ("method", "settings", "microbatch"),
    [
        ("inr", STEPS, 1),
        ("inr", {**STEPS, "restarts": 3}, 64),
        ("inr", {**STEPS, "restarts": 3, **INDEPENDENT}, 64),
        ("inr", {**STEPS, "restarts": 4, "rounds": 2}, 5),
        ("inr", {**STEPS, "restarts": 2, "optimise.areas_per_step": 3}, 64),
        ("ep", {"steps": 2}, 1),
        ("pixels", {"optimise.steps": 2}, 1),
        ("rise", {"samples": 20}, 5),
        ("rise", {"samples": 400}, 64),  # more calls than its masks are scored in
        ("ig", {"steps": 3}, 64),
    ],
)
def test_most_calls_have_the_size_that_was_foretold(method, settings, microbatch):
    config = load_job(None, {**FAST, "method": method, **settings}).config
    module, image = Noting(), torch.randn(1, 3, 32, 32)
    target = torch.tensor([1])
    METHODS[method].explain(
        image,
        target,
        module(image).softmax(1)[:, 1].detach(),
        ["a"],
        module,
        config,
        seed=0,
        microbatch=MicroBatch(microbatch),
        module=module,
        custom_baseline=None,
    )
    sizes = module.sizes[True] or module.sizes[False][1:]
    assert mode(sizes) == max(sizes_of_calls(1, MicroBatch(microbatch), spec_for(method, config)))


def spec_for(method, config, device="cpu"):
    given = {"method": method, "config": config, "device": device, "batch": 0, "microbatch": 0}
    rest = {"model": "", "weights": None, "preprocess": None, "precision": "fp32", "seed": 0}
    return WorkerSpec(**given, **rest, extra_types={})


def test_a_step_fills_a_micro_batch():
    def sizes(batch, microbatch, config, device="cuda"):
        spec = spec_for("inr", config, device)
        return sizes_of_calls(batch, MicroBatch(microbatch), spec)

    # by hand: 2 areas a step, seen kept and removed: 4 images of each network
    one = load_job(None, FAST).config
    assert METHODS["inr"].together(one) == (1, 4)
    assert batch_for(128, 1, 4) == 4 * 32
    assert sizes(32, 128, one) == [16, 32, 64, 128]  # of 4, 8, 16 and 32 networks
    assert sizes(10, 128, one) == [16, 32, 64]  # a batch smaller than the micro-batch holds
    assert sizes(10, 128, one, "cpu") == [4]  # one image after the other
    assert sizes(10, 2, one) == sizes(1, 2, one, "cpu") == [4]  # one network is never cut
    three = load_job(None, {**FAST, "restarts": 3, **INDEPENDENT}).config
    assert METHODS["inr"].together(three) == (3, 4)
    assert batch_for(128, 3, 4) == 42  # 4 * 128 / 12
    assert sizes(2, 128, three) == [16, 32]  # 6 networks
    assert sizes(20, 128, three) == [16, 32, 64, 128]  # 60 networks, 32 at once
    assert sizes(20, 128, three, "cpu") == [12]
    # preservation only, as with several rounds: one side
    two = METHODS["inr"].together(load_job(None, {**FAST, "rounds": 2}).config)
    assert batch_for(128, *two) == 4 * 64
    # restarts in a chain, alone or beside the second round of the one before
    for rounds in (1, 2):
        chain = load_job(None, {**FAST, "restarts": 3, "rounds": rounds}).config
        assert METHODS["inr"].together(chain) == (rounds, 2)
    assert batch_for(2, 1, 4) == 2
    assert batch_for(1, 3, 4) == 1
