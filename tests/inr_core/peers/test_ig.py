"""Integrated gradients: completeness, and the smoothing of the map."""

import sys

import pytest
import torch

from inr_core import METHODS, MicroBatch, gaussian_blur
from inr_core.game.perturbation import baselines
from inr_core.game.scene import Scene
from inr_core.optimisation import PathConfig
from inr_core.peers import IgConfig
from inr_core.peers.common import Task
from inr_core.peers.ig import attributions, ig_map


def smooth_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, stride=2),
        torch.nn.Softplus(),
        torch.nn.Flatten(1),
        torch.nn.Linear(6 * 49, 4),
    ).double()


def task_of(module, microbatch=64):
    image = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    config = IgConfig()
    scene = Scene(
        image_NCHW=image,
        baseline_NLCHW=baselines(image, config.perturbation),
        target_N=torch.tensor([3, 0, 1]),
        pyramid=False,
    )
    return Task(
        scene=scene,
        seeds=(0, 1, 2),
        classify=module,
        module=module,
        microbatch=MicroBatch(microbatch),
    )


@pytest.mark.parametrize("microbatch", [1, 2, 64])
def test_attributions_sum_to_the_difference_of_the_logits(microbatch):
    pytest.importorskip("captum")
    module = smooth_model()
    task = task_of(module, microbatch)
    found = attributions(task, 50)
    rise = module(task.image_BCHW) - module(task.strongest_BCHW)
    expected = rise.gather(1, task.target_B[:, None])[:, 0].detach()
    torch.testing.assert_close(found.sum((1, 2, 3)), expected, atol=1e-6, rtol=1e-6)


def test_a_linear_model_is_attributed_exactly():
    pytest.importorskip("captum")
    module = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Linear(3 * 256, 4)).double()
    task = task_of(module)
    weight = module[1].weight[task.target_B].view(3, 3, 16, 16).detach()
    expected = weight * (task.image_BCHW - task.strongest_BCHW)
    torch.testing.assert_close(attributions(task, 3), expected)


def test_the_map_is_the_smoothed_signed_sum_over_channels():
    pytest.importorskip("captum")
    task = task_of(smooth_model())
    found = ig_map(task, IgConfig(steps=5, smoothing=0.1))
    total = attributions(task, 5).sum(1, keepdim=True)
    torch.testing.assert_close(found, gaussian_blur(total, 1.6)[:, 0])
    assert found.min() < 0 < found.max()


def test_the_map_is_smoothed_as_our_own_path_gradients_are():
    assert IgConfig().smoothing == pytest.approx(PathConfig().blur, rel=0.01)


def test_without_captum_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r'pip install "xaipipe\[peers\]"'):
        METHODS["ig"].check(torch.nn.Identity(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("bad", [{"steps": 0}, {"smoothing": 0.0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        IgConfig(**bad)
