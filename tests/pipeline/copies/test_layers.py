"""Layers from the top, and what they are drawn to."""

import copy

import pytest
import torch
from torch import nn

from pipeline.copies import draw_anew, layers_of, top_layers
from pipeline.shapes import load_shapes


class Odd(nn.Module):
    """Has a parameter of its own, registered before its layers, and no law to draw it by."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.arange(12.0).view(3, 4))
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)


def changed(module, other):
    """Names of the tensors that differ."""
    pairs = zip(module.state_dict().items(), other.state_dict().values(), strict=True)
    return {name for (name, one), two in pairs if not torch.equal(one, two)}


def test_layers_are_modules_with_parameters_in_the_order_of_registration():
    assert [name for name, _ in layers_of(Odd())] == ["", "body.0", "body.2", "head"]
    for depth, names in ((0, []), (0.01, ["head"]), (0.5, ["body.2", "head"])):
        assert [name for name, _ in top_layers(Odd(), depth)] == names
    assert len(top_layers(Odd(), 1)) == 4
    shapes = load_shapes()
    assert [name for name, _ in top_layers(shapes, 0.1)] == ["features.5.1", "head"]


def test_what_is_drawn_has_the_law_of_the_layer_and_the_rest_stays():
    module = Odd()
    with torch.no_grad():
        for parameter in module.body[2].parameters():
            parameter.fill_(7)
        module.body[2].running_mean.fill_(3)
    before = copy.deepcopy(module)
    draw_anew(module, 0.5, 0)
    assert changed(before, module) == {
        *("body.2.weight", "body.2.bias", "body.2.running_mean"),
        *("head.weight", "head.bias"),
    }
    norm = module.body[2]
    assert (norm.weight == 1).all() and (norm.bias == 0).all() and (norm.running_mean == 0).all()
    assert module.head.weight.abs().max() <= 1 / 4**0.5  # nn.Linear's bound
    draw_anew(module, 1, 0)
    assert sorted(module.token.flatten().tolist()) == list(range(12))  # another order
    assert not torch.equal(module.token, before.token)


def test_a_layer_is_drawn_alike_at_every_depth_and_by_another_seed_differently():
    copies = {depth: load_shapes() for depth in (0.2, 1.0)}
    for depth, module in copies.items():
        draw_anew(module, depth, 4)
    shallow, deep = (module.head.weight for module in copies.values())
    assert torch.equal(shallow, deep)
    other = load_shapes()
    state = torch.random.get_rng_state()
    draw_anew(other, 0.2, 5)
    assert not torch.equal(other.head.weight, deep)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's numbers change
    untouched = load_shapes()
    draw_anew(untouched, 0, 4)
    assert changed(untouched, load_shapes()) == set()


def test_convolutions_are_drawn_as_torch_draws_them():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(16, 64, 3, bias=False))
    fresh = [nn.Conv2d(16, 64, 3, bias=False).weight.std().item() for _ in range(5)]
    draw_anew(module, 1, 0)
    assert module[0].weight.std().item() == pytest.approx(sum(fresh) / 5, rel=0.05)
