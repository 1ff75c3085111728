"""The frozen classifier: folding, precision and layout leave the logits as they were."""

import pytest
import torch
import torchvision
from torch import nn

from pipeline.classifiers.frozen import Frozen

CPU = torch.device("cpu")


class Branching(nn.Module):
    """Cannot be traced: what it does depends on the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image):
        map_ = self.norm(self.conv(image))
        return map_.mean((2, 3)) if image.mean() > 0 else map_.amax((2, 3))


class Reused(nn.Module):
    """One batch norm after two convolutions: folding it into either would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.norm = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image):
        return (self.norm(self.one(image)) - 2 * self.norm(self.two(image))).mean((2, 3))


class Float32Only(nn.Module):
    """Insists on float32 weights inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        if self.conv.weight.dtype != torch.float32:
            raise TypeError("float32 only")
        return self.conv(image).mean((2, 3))


def trained(module: nn.Module) -> nn.Module:
    """With batch norms that do something."""
    torch.manual_seed(0)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 2)
            nn.init.normal_(m.bias)
            nn.init.normal_(m.running_mean)
            nn.init.uniform_(m.running_var, 0.5, 2)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_folded_logits_and_gradients_are_those_of_the_module(name):
    torch.manual_seed(1)
    module = trained(torchvision.models.get_model(name, weights=None, num_classes=7)).double()
    image = torch.randn(2, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    wanted = module(image)
    (gradient,) = torch.autograd.grad(wanted[:, 2].sum(), image)
    frozen = Frozen(module, (3, 96, 96), CPU, "fp32")
    assert norms(module) > 0 and norms(frozen) == 0
    frozen.module.double()
    frozen.dtype = torch.float64
    found = frozen(image)
    torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-5)
    (own,) = torch.autograd.grad(found[:, 2].sum(), image)
    torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [Branching, Reused])
def test_what_cannot_be_folded_is_left_as_it_is(kind):
    module = trained(kind())
    image = torch.randn(2, 3, 32, 32) + 1
    wanted = module(image)
    frozen = Frozen(module, (3, 32, 32), CPU, "fp32")
    torch.testing.assert_close(frozen(image), wanted, rtol=1e-4, atol=1e-4)


def test_bf16_converts_the_weights_and_returns_float32():
    torch.manual_seed(1)
    module = trained(torchvision.models.resnet18(num_classes=5))
    image = torch.randn(2, 3, 64, 64)
    wanted = module(image).detach()
    frozen = Frozen(module, (3, 64, 64), CPU, "bf16")
    found = frozen(image)
    assert frozen.converted and found.dtype == torch.float32
    assert {p.dtype for p in frozen.parameters()} == {torch.bfloat16}
    assert 0 < (found - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_bf16_falls_back_to_autocast():
    torch.manual_seed(1)
    module = Float32Only()
    image = torch.randn(2, 3, 32, 32)
    frozen = Frozen(module, (3, 32, 32), CPU, "bf16")
    assert not frozen.converted
    found = frozen(image)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, module(image), rtol=0.02, atol=0.02)


def test_no_weight_has_a_gradient_and_the_given_images_keep_theirs():
    frozen = Frozen(trained(Reused()), (3, 32, 32), CPU, "fp32")
    assert not any(p.requires_grad for p in frozen.parameters())
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    frozen(image).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0


def test_images_in_the_classifiers_layout_are_not_copied():
    seen = []

    class Looking(nn.Module):
        def forward(self, image):
            seen.append(image)
            return image.mean((2, 3))

    frozen = Frozen(Looking(), (3, 32, 32), CPU, "fp32")
    image = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    frozen(image)
    frozen(image.contiguous())
    assert seen[0] is image
    assert seen[1].is_contiguous(memory_format=torch.channels_last)


class Plain(nn.Module):
    """A convolution and its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image):
        return self.norm(self.conv(image)).mean((2, 3))


def test_batch_norms_that_stay_are_noted():
    assert Frozen(trained(Plain()), (3, 32, 32), CPU, "fp32").notes == ()
    (note,) = Frozen(trained(Branching()), (3, 32, 32), CPU, "fp32").notes
    assert note.startswith("the classifier's batch norms are not folded: TraceError")
    assert Frozen(Float32Only(), (3, 32, 32), CPU, "fp32").notes == ()  # it has none


def test_a_fold_is_compared_in_float64(monkeypatch):
    from torch.fx.experimental import optimization

    fuse = optimization.fuse

    def slightly_wrong(module):
        folded = fuse(module)
        with torch.no_grad():
            for parameter in folded.parameters():
                parameter.mul_(1 + 3e-8)  # less than float32 resolves
        return folded

    monkeypatch.setattr(optimization, "fuse", slightly_wrong)
    frozen = Frozen(trained(Plain()), (3, 32, 32), CPU, "fp32")
    (note,) = frozen.notes
    assert "the logits would differ by" in note and norms(frozen) == 1
