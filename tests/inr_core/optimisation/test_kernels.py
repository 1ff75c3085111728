"""How many kernels a step of the default is on a GPU, and how many bytes they move."""

import pytest
import torch

from inr_core import InrConfig
from inr_core.game import objective, scenes
from inr_core.game import scene as game_scene
from inr_core.optimisation import Networks, Others, Schedule, Slots, slots, step
from tests.lowering import Launches, Lowered

SAMPLES = 512  # images that the classifier sees in a step
SIDE, CLASSES = 224, 1000
KERNELS = {  # of a step, the classifier left out
    "look": 21,
    "look, backward": 30,
    "rewards": 4,
    "rewards, backward": 5,
    "move": 3,
}
MEGABYTES = 2043  # that they read and write; 2660 with images in float32

pytestmark = pytest.mark.skipif(
    not torch.__version__.startswith("2.15"), reason="the counts are those of torch 2.15's Inductor"
)


class Answer(torch.autograd.Function):
    """In the place of the classifier: logits of any images and a gradient, for no operation."""

    @staticmethod
    def forward(ctx, image_MCHW):
        ctx.image = image_MCHW
        return image_MCHW.new_empty(len(image_MCHW), CLASSES, dtype=torch.float32)

    @staticmethod
    def backward(ctx, gradient_MK):
        return torch.empty_like(ctx.image)


def slots_of(config, dtype):
    """Slots for a step of SAMPLES images, without values."""
    sides = config.objective.keeps + config.objective.removes
    count = SAMPLES // (config.optimise.areas_per_step * sides)
    image = torch.empty(count, 3, SIDE, SIDE, device="meta")
    numbers = torch.zeros(count, dtype=torch.long, device="meta")
    ((scene, _),) = scenes(image, numbers, config.perturbation, None, count)
    parameters = config.mask.network.parameter_count
    steps = config.optimise.steps, config.optimise.areas_per_step
    networks = Networks(
        theta_NK=image.new_empty(count, parameters),
        round_N=numbers,
        previous_NJK=image.new_empty(count, config.rounds - 1, parameters),
        others=Others(image.new_empty(count, 0, parameters), numbers),
        level_NSA=torch.zeros(count, *steps, dtype=torch.long, device="meta"),
        scene=scene,
    )
    schedule = Schedule.of(config.optimise, [(0.05, 0.4)], config.mask.temperature, image)
    made = (schedule, Answer.apply, config.mask, config.objective)
    return Slots(networks.shown_in(dtype), *made, record=False)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.slow
def test_a_step_is_a_few_kernels(monkeypatch):
    own, lowered = slots_of(InrConfig(), torch.bfloat16), Lowered()
    for used, name, home in (
        (slots, "look", step),
        (slots, "move", step),
        (game_scene, "rewards", objective),
    ):
        monkeypatch.setattr(used, name, lowered.of(getattr(home, name)))
    with Launches() as launches:
        own.step()
    assert launches.operations.total() == 2  # of `Answer`: all else is in the compiled functions
    assert lowered.kernels.keys() == KERNELS.keys()
    assert all(lowered.kernels[name] <= most for name, most in KERNELS.items()), lowered.kernels
    assert lowered.bytes.total() / 1e6 <= MEGABYTES * 1.02


def test_without_a_compiler_it_is_many_times_as_many():
    own = slots_of(InrConfig(), torch.float32)
    with Launches() as launches:
        own.step()
    assert launches.operations.total() > 5 * sum(KERNELS.values())


def test_what_cannot_be_fused_is_counted():
    """Two products with a sum between are not one kernel, and each moves its operands."""
    lowered = Lowered()
    square = torch.empty(64, 64, device="meta")

    def products(one, other):
        return (one @ other).relu() @ other

    lowered.of(products)(square, square)
    assert lowered.kernels == {"products": 3}
    assert lowered.bytes["products"] == 4 * 64 * 64 * (3 + 2 + 3)
