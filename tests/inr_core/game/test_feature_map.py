"""The last feature map: which layer it is of, how its places lie, and models that have none."""

import pytest
import torch
from torch import nn

from inr_core.game.feature_map import FeatureMap, by_places


def shown(model, image):
    """Layer and map of the images."""
    features = FeatureMap.of(model, image[:1])
    _, output = features.look(model, image)
    return features.layer, by_places(output, image)


def test_the_last_map_with_places_is_used():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.Linear(6, 2),
    )
    image = torch.randn(2, 3, 12, 12)
    layer, found = shown(model, image)
    assert layer is model[2]
    torch.testing.assert_close(found, model[:3](image))


class Again(nn.Module):
    """One ReLU, used after every convolution, as in ResNet's blocks."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 2)

    def forward(self, image):
        return self.head(self.relu(self.second(self.relu(self.first(image)))).mean((2, 3)))


def test_of_a_layer_that_is_used_again_the_last_output_counts():
    model, image = Again(), torch.randn(2, 3, 9, 9)
    layer, found = shown(model, image)
    assert layer is model.relu
    torch.testing.assert_close(found, model.second(model.first(image).relu()).relu())


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
    model, image = ChannelsLast().eval(), torch.randn(2, 3, *size)
    _, found = shown(model, image)
    assert found.shape == (2, 7, size[0] // 4, size[1] // 4)
    torch.testing.assert_close(found, model.norm(model.features(image).movedim(1, 3)).movedim(3, 1))


class Attention(nn.Module):
    """A vision transformer of one block: class token (and registers) before the patches."""

    def __init__(self, before=1):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.before = nn.Parameter(torch.randn(1, before, 8))
        self.norm, self.qkv = nn.LayerNorm(8), nn.Linear(8, 24)
        self.drop, self.last, self.head = nn.Dropout(0.0), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, image):
        patches = self.embed(image).flatten(2).mT
        tokens = torch.cat([self.before.expand(len(image), -1, -1), patches], 1)
        q, k, v = (
            self.qkv(self.norm(tokens)).view(*tokens.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        )
        weights = self.drop((q @ k.mT).softmax(-1))  # (B, heads, T, T), as large as any map
        tokens = tokens + (weights @ v).transpose(1, 2).flatten(2)
        return self.head(self.last(tokens)[:, 0])


@pytest.mark.parametrize("before", [1, 2, 5])
@pytest.mark.parametrize("size", [(16, 16), (12, 24)])
def test_of_a_transformer_it_is_the_last_layer_on_tokens_that_the_class_token_sees(before, size):
    torch.manual_seed(0)
    model, image = Attention(before).eval(), torch.randn(2, 3, *size)
    layer, found = shown(model, image)
    assert layer is model.qkv  # after it only the class token counts, and the weights are no map
    places = size[0] // 4, size[1] // 4
    assert found.shape == (2, 24, *places)
    tokens = torch.cat([model.before.expand(2, -1, -1), model.embed(image).flatten(2).mT], 1)
    of_patches = model.qkv(model.norm(tokens))[:, before:]
    torch.testing.assert_close(found, of_patches.mT.reshape(2, 24, *places))


class Flat(nn.Module):
    def forward(self, image):
        return image.flatten(1)[:, :3]


@pytest.mark.parametrize("model", [Flat(), nn.Sequential(nn.Flatten(1), nn.Linear(192, 3))])
def test_models_without_places_have_none(model):
    with pytest.raises(ValueError, match="no layer that gives a last feature map"):
        FeatureMap.of(model, torch.zeros(1, 3, 8, 8))
    assert not any(layer._forward_hooks for layer in model.modules())


def test_hooks_are_removed_when_the_model_raises():
    class Broken(Again):
        def forward(self, image):
            super().forward(image)
            raise RuntimeError("broken")

    model, image = Broken(), torch.zeros(1, 3, 8, 8)
    for look in (
        lambda: FeatureMap.of(model, image),
        lambda: FeatureMap(model.relu).look(model, image),
    ):
        with pytest.raises(RuntimeError, match="broken"):
            look()
        assert not any(layer._forward_hooks for layer in model.modules())
