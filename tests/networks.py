"""For tests of the loop: networks, images to explain with them, and a small classifier."""

import torch

from inr_core.game.perturbation import PerturbationConfig, baselines
from inr_core.game.scene import Scene
from inr_core.masks.siren import SirenConfig, init_parameters
from inr_core.optimisation.networks import Networks
from inr_core.optimisation.optimise import Steps, draw_levels, optimise
from inr_core.optimisation.repulsion import Others
from inr_core.optimisation.schedule import OptimiseConfig, Schedule

NETWORK = SirenConfig(hidden_width=8, sine_layers=2)
STEPS = OptimiseConfig(steps=4, areas_per_step=3, learning_rate=0.05, warmup=1)
SIZE = 16


def tiny_classifier(classes=4):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=2),
        torch.nn.SiLU(),
        torch.nn.Flatten(1),
        torch.nn.Linear(6 * 36, classes),
    ).double()
    return module.requires_grad_(False)


def scene_of(count, pyramid=False):
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(count, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)
    config = PerturbationConfig(kind="pyramid" if pyramid else "blur", sigmas=(0.1, 0.3))
    target = torch.arange(count) % 4
    return Scene(
        image_NCHW=image, baseline_NLCHW=baselines(image, config), target_N=target, pyramid=pyramid
    )


def networks_of(count, scene=None, steps=STEPS):
    theta = torch.stack([init_parameters(seed, NETWORK) for seed in range(count)]).double()
    return Networks(
        theta_NK=theta,
        round_N=torch.zeros(count, dtype=torch.long),
        previous_NJK=theta.new_zeros(count, 0, theta.shape[1]),
        others=Others(theta.new_zeros(count, 0, theta.shape[1]), torch.zeros(count).long()),
        level_NSA=draw_levels(range(count), 2, steps.steps, steps.areas_per_step),
        scene=scene or scene_of(count),
    )


def schedule_of(steps=STEPS, temperature=0.1, device="cpu"):
    like = torch.zeros((), dtype=torch.float64, device=device)
    return Schedule.of(steps, [(0.05, 0.4), (0.1, 0.3)], temperature, like)


def optimised(networks, schedule, classify, mask, objective, microbatch, fixed=False):
    """Parameters and steps taken, in the networks' order."""
    steps = Steps(
        schedule=schedule,
        classify=classify,
        mask=mask,
        objective=objective,
        microbatch=microbatch,
        fixed=fixed,
    )
    theta, taken = torch.zeros_like(networks.theta_NK), [0] * len(networks)

    def finished(tasks, theta_NK, steps):
        theta[tasks] = theta_NK
        for n, count in zip(tasks, steps, strict=True):
            assert not taken[n], "a network is optimised once"
            taken[n] = count
        return []

    optimise(range(len(networks)), networks.of, finished, steps)
    return theta, torch.tensor(taken)
