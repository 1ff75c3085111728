"""Features: the input of a classifier's last linear map, from any library; or a layer by name."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from pipeline import RequestError
from pipeline.classifiers import Features, load_classifier
from tests.hubs import save_hf, vit_processor

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SMALL = "resize=64,crop=64"


class Tokens(nn.Module):
    """Classes are means of what is said of each token."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 6, 16, stride=16)
        self.head = nn.Linear(6, 4)

    def forward(self, image):
        return self.head(self.cut(image).flatten(2).mT).mean(1)


class Distances(nn.Module):
    """Without a linear map: how near features are to prototypes."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 6, 16, stride=16)
        self.prototypes = nn.Parameter(torch.randn(4, 6))

    def forward(self, image):
        return -(self.cut(image).mean((2, 3))[:, None] - self.prototypes).square().sum(2)


def built(name, **more):
    torch.manual_seed(0)
    return torchvision.models.get_model(name, num_classes=5, **more).eval()


def given_to(module, head, images):
    """What a layer is given, by a hook on the module as it is."""
    found = []
    handle = head.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    with torch.no_grad():
        module(images)
    handle.remove()
    return found[-1]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "vit_b_32", "swin_t"])
def test_they_are_what_the_last_linear_layer_is_given(name):
    more = {"image_size": 64} if name == "vit_b_32" else {}
    module = built(name, **more)
    head = [m for m in module.modules() if isinstance(m, nn.Linear)][-1]
    wanted = given_to(module, head, IMAGES)
    classifier = load_classifier(module, preprocess=SMALL)
    logits, found = Features(classifier)(IMAGES)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, head(wanted).detach(), atol=1e-4, rtol=1e-4)


def test_a_convolution_is_a_linear_map_of_every_place():
    module = built("squeezenet1_1")
    wanted = given_to(module, module.classifier[1], IMAGES).mean((2, 3))
    _, found = Features(load_classifier(module, preprocess=SMALL))(IMAGES)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_tokens_are_pooled():
    module = Tokens().eval()
    _, found = Features(load_classifier(module, preprocess=SMALL))(IMAGES)
    torch.testing.assert_close(found, module.cut(IMAGES).flatten(2).mean(2).detach())


def test_models_of_timm_and_transformers(tmp_path):
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64, depth=1).eval()
    _, found = Features(load_classifier(module, preprocess=SMALL))(IMAGES)
    torch.testing.assert_close(found, given_to(module, module.head, IMAGES))
    own = save_hf(tmp_path / "vit", vit_processor())
    small = IMAGES[..., :32, :32]
    _, found = Features(load_classifier(f"hf:{tmp_path / 'vit'}"))(small)
    torch.testing.assert_close(
        found, given_to(lambda x: own(pixel_values=x), own.classifier, small)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["export", "torchscript"])
def test_programs_without_layers(kind, tmp_path):
    module, file = built("mobilenet_v3_small"), str(tmp_path / "model.pt2")
    if kind == "export":
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(module, (IMAGES,), dynamic_shapes=({0: batch},))
        torch.export.save(program, file)
    else:
        torch.jit.trace(module, IMAGES).save(file)
    wanted = given_to(module, module.classifier[-1], IMAGES)
    features = Features(load_classifier(f"{kind}:{file}", preprocess=SMALL))
    for _ in range(3):  # TorchScript looks at the first calls before it makes them faster
        torch.testing.assert_close(features(IMAGES)[1], wanted, atol=1e-4, rtol=1e-4)


def test_a_layer_by_its_name():
    module = built("mobilenet_v3_small")
    classifier = load_classifier(module, preprocess=SMALL)
    logits, found = Features(classifier, "features.12.2")(IMAGES)
    torch.testing.assert_close(found, module.features(IMAGES).mean((2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, module(IMAGES), atol=1e-4, rtol=1e-4)
    assert not any(m._forward_hooks for m in classifier.module.modules())


def test_a_layer_that_is_not_there_names_those_that_are():
    classifier = load_classifier(built("mobilenet_v3_small"), preprocess=SMALL)
    with pytest.raises(RequestError, match=r"--layer nonsense: .* classifier\.3, .*classifier\.0"):
        Features(classifier, "nonsense")


def test_without_a_linear_map_a_layer_is_asked_for():
    classifier = load_classifier(Distances().eval(), preprocess=SMALL)
    with pytest.raises(RequestError, match="no linear map to its 4 classes.*--layer.*cut"):
        Features(classifier)
    assert Features(classifier, "cut")(IMAGES)[1].shape == (3, 6)
