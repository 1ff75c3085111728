"""Grad-CAM against channel weights worked out by hand, and models that have no map."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from inr_core import METHODS
from inr_core.game import FeatureMap
from inr_core.peers.gradcam import cam


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
    found = cam(model, image, target, FeatureMap.of(model, image[:1]))
    assert found.min() >= 0 and found.max() > 0
    torch.testing.assert_close(found, by_hand(model, image, target))


class Flat(nn.Module):
    def forward(self, image):
        return image.flatten(1)[:, :3]


@pytest.mark.parametrize("model", [Flat(), nn.Sequential(nn.Flatten(1), nn.Linear(192, 3))])
def test_models_without_a_feature_map_are_refused_with_a_remedy(model):
    with pytest.raises(ValueError, match="use another model, or a method"):
        METHODS["gradcam"].check(model, torch.zeros(1, 3, 8, 8))
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scripted_and_exported_models_are_refused():
    model, image = Tiny().eval(), torch.zeros(1, 3, 8, 8)
    for other in (torch.jit.trace(model, image), torch.export.export(model, (image,)).module()):
        with pytest.raises(ValueError, match="exported and scripted"):
            METHODS["gradcam"].check(other, image)


class Tokens(nn.Module):
    """A class token that sees the patches through one layer of attention."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.value = nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, image):
        patches = self.embed(image).flatten(2).mT
        values = self.value(torch.cat([patches.mean(1, keepdim=True), patches], 1)).tanh()
        return self.head(values[:, 1:].mean(1) + values[:, 0])


def test_channel_weights_on_tokens_worked_out_by_hand():
    model, image = Tokens().double().eval(), torch.randn(1, 3, 12, 16, dtype=torch.float64)
    found = cam(model, image, torch.tensor([2]), FeatureMap.of(model, image))
    patches = model.embed(image).flatten(2).mT
    values = model.value(patches)[0].detach()  # (12, 8): what the layer says of each patch
    slope = (1 - values.tanh().square()) * model.head.weight[2].detach() / 12
    places = (values * slope.mean(0)).sum(1).view(1, 1, 3, 4)
    size = dict(size=(12, 16), mode="bilinear", align_corners=False)
    by_hand = functional.interpolate(places.relu(), **size)[:, 0]
    torch.testing.assert_close(found, by_hand)
