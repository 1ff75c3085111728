"""Grad-CAM against channel weights worked out by hand, and models that have no feature map."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from inr_core import METHODS
from inr_core.peers.gradcam import cam, last_feature_map


class Tiny(nn.Module):
    """Features, pooled, and a linear head: the gradient of a logit is its row / (h w)."""

    def __init__(self, inplace=False):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(inplace=inplace)
        )
        self.head = nn.Linear(4, 5)

    def forward(self, image):
        return self.head(self.features(image).mean((2, 3)))


def by_hand(model, image, target):
    maps = functional.relu(model.features[:2](image)).detach()
    found = []
    for b, c in enumerate(target.tolist()):
        weights = model.head.weight[c] / maps[b, 0].numel()
        found.append(functional.relu((weights[:, None, None] * maps[b]).sum(0)))
    size = image.shape[2:]
    cams = torch.stack(found)[:, None].detach()
    return functional.interpolate(cams, size, mode="bilinear", align_corners=False)[:, 0]


@pytest.mark.parametrize("inplace", [False, True])
def test_channel_weights_worked_out_by_hand(inplace):
    model = Tiny(inplace).double().eval()
    image = torch.randn(3, 3, 15, 19, dtype=torch.float64)
    target = torch.tensor([4, 0, 2])
    found = cam(model, image, target)
    assert found.min() >= 0 and found.max() > 0
    torch.testing.assert_close(found, by_hand(model, image, target))


def test_the_last_map_with_places_is_used():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(6, 2),
    )
    _, found = last_feature_map(model, torch.randn(2, 3, 12, 12))
    assert found.shape == (2, 6, 8, 8)


class ChannelsLast(nn.Module):
    """As Swin in timm: features (B, h, w, C)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 7, 4, stride=4)
        self.norm = nn.LayerNorm(7)
        self.head = nn.Linear(7, 3)

    def forward(self, image):
        return self.head(self.norm(self.features(image).movedim(1, 3)).mean((1, 2)))


@pytest.mark.parametrize("size", [(12, 20), (12, 12)])
def test_a_map_with_its_channels_last_is_turned(size):
    torch.manual_seed(0)
    model, image = ChannelsLast().eval(), torch.randn(2, 3, *size)
    _, found = last_feature_map(model, image)
    assert found.shape == (2, 7, size[0] // 4, size[1] // 4)
    torch.testing.assert_close(found, model.norm(model.features(image).movedim(1, 3)).movedim(3, 1))


class Tokens(nn.Module):
    """As a vision transformer: a patch embedding, then layers on sequences."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, image):
        return self.head(self.norm(self.embed(image).flatten(2).mT)[:, 0])


class Flat(nn.Module):
    def forward(self, image):
        return image.flatten(1)[:, :3]


@pytest.mark.parametrize("model", [Tokens(), Flat(), nn.Sequential(nn.Flatten(1))])
def test_models_without_a_feature_map_are_refused_with_a_remedy(model):
    with pytest.raises(ValueError, match="use a convolutional model, or a method"):
        METHODS["gradcam"].check(model, torch.zeros(1, 3, 8, 8))
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scripted_and_exported_models_are_refused():
    model, image = Tiny().eval(), torch.zeros(1, 3, 8, 8)
    for other in (torch.jit.trace(model, image), torch.export.export(model, (image,)).module()):
        with pytest.raises(ValueError, match="exported or scripted"):
            METHODS["gradcam"].check(other, image)


def test_hooks_are_removed_when_the_model_raises():
    class Broken(Tiny):
        def forward(self, image):
            super().forward(image)
            raise RuntimeError("broken")

    model = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        last_feature_map(model, torch.zeros(1, 3, 8, 8))
    assert not any(layer._forward_hooks for layer in model.modules())
