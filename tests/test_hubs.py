"""Classifiers of timm and transformers against the libraries themselves, on models made here."""

import io
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
import transformers
from huggingface_hub import constants
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.models import save_for_hf

from pipeline import RequestError, load_job
from pipeline.classifiers import load_classifier
from pipeline.images import load_image
from pipeline.plan import Request
from pipeline.shard import Shard
from pipeline.worker import ShardWorker

NAMES = {0: "cat", 1: "dog", 2: "newt"}
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
    "id2label": NAMES,
    "label2id": {name: k for k, name in NAMES.items()},
}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "id2label": NAMES,
    "label2id": {name: k for k, name in NAMES.items()},
}
NORM = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}


@pytest.fixture(scope="module")
def resnet():
    """timm's test_resnet with 5 classes and batch norms that have seen something."""
    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=5)
    module(torch.randn(8, 3, 64, 64) + 1)
    return module.eval()


def picture(file, width, height):
    """A generated image: smooth, with edges, different in each colour."""
    row, column = np.mgrid[:height, :width] / min(width, height)
    waves = [np.sin(9 * row + 4 * column), np.cos(7 * column), (row - 0.5) ** 2 > column - 0.4]
    rgb = np.stack([(wave + 1) / 2 for wave in waves], -1)
    Image.fromarray((rgb * 255).astype(np.uint8)).save(file)
    return str(file)


def save_hf(folder, processor, model=None):
    torch.manual_seed(1)
    model = model or transformers.ViTForImageClassification(transformers.ViTConfig(**VIT))
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def vit_processor(**changes):
    settings = {"size": {"height": 32, "width": 32}, **NORM, **changes}
    return transformers.ViTImageProcessor(**settings)


def input_gradient(found):
    side = found.preprocess.crop
    image = torch.randn(2, 3, side, side, requires_grad=True)
    found.classify(image)[:, 0].sum().backward()
    return image.grad


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_timm_with_a_state_dict_equals_the_model_itself(resnet, kind, tmp_path):
    file = str(tmp_path / f"w.{kind}")
    save = torch.save if kind == "pth" else safetensors.torch.save_file
    save(resnet.state_dict(), file)
    found = load_classifier("timm:test_resnet.r160_in1k", weights=file)
    image = torch.randn(2, 3, found.preprocess.crop, found.preprocess.crop)
    torch.testing.assert_close(found.classify(image), resnet(image).detach())
    assert found.classes == ("0", "1", "2", "3", "4")
    assert (input_gradient(found) != 0).any(dim=(1, 2, 3)).all()
    assert not any(p.requires_grad for p in found.module.parameters())


@pytest.mark.parametrize("name", ["test_resnet", "test_vit2", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("size", [(301, 222), (97, 240)])
def test_timm_preprocessing_is_that_of_its_own_transform(name, size, tmp_path):
    module = timm.create_model(name)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    found = load_classifier(f"timm:{name}", weights=str(tmp_path / "w.pth"))
    file = picture(tmp_path / "image.png", *size)
    config = resolve_model_data_config(module)
    expected = create_transform(**config, is_training=False)(Image.open(file))
    torch.testing.assert_close(load_image(file, found.preprocess).pixels, expected)
    assert found.classes[0] == "tench, Tinca tinca"
    assert len(found.classes) == 1000


def test_timm_loads_trained_weights_and_their_own_names(resnet, tmp_path):
    names = ["ant", "bee", "cow", "doe", "eel"]
    save_for_hf(resnet, str(tmp_path), model_config={"label_names": names})
    found = load_classifier(f"timm:local-dir:{tmp_path}")
    image = torch.randn(1, 3, found.preprocess.crop, found.preprocess.crop)
    torch.testing.assert_close(found.classify(image), resnet(image).detach())
    assert found.classes == tuple(names)


def test_hf_equals_the_model_itself(tmp_path):
    model = save_hf(tmp_path, vit_processor())
    found = load_classifier(f"hf:{tmp_path}")
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found.classify(image), model(image).logits.detach())
    assert found.classes == ("cat", "dog", "newt")
    assert (input_gradient(found) != 0).any(dim=(1, 2, 3)).all()
    assert not any(p.requires_grad for p in found.module.parameters())


def test_hf_with_a_state_dict_of_another_number_of_classes(tmp_path, monkeypatch):
    save_hf(tmp_path / "base", vit_processor())
    config = transformers.ViTConfig(**VIT | {"id2label": None, "label2id": None}, num_labels=7)
    torch.manual_seed(2)
    model = transformers.ViTForImageClassification(config).eval()
    torch.save(model.state_dict(), tmp_path / "w.pth")
    monkeypatch.chdir(tmp_path)
    found = load_classifier("hf:./base", weights="w.pth")
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found.classify(image), model(image).logits.detach())
    assert found.classes == ("0", "1", "2", "3", "4", "5", "6")


SHORTEST = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, **NORM}


@pytest.mark.parametrize(
    ("processor", "size", "expected"),
    [
        (vit_processor(), (120, 120), (32, 32, "bilinear")),
        (vit_processor(size=32, resample=3), (120, 120), (32, 32, "bicubic")),
        (vit_processor(size=32, resample=0), (128, 128), (32, 32, "nearest")),
        (vit_processor(do_normalize=False), (77, 77), (32, 32, "bilinear")),
        (transformers.BitImageProcessor(**SHORTEST), (200, 110), (40, 32, "bicubic")),
        (transformers.CLIPImageProcessor(**SHORTEST), (110, 200), (40, 32, "bicubic")),
        (
            transformers.DeiTImageProcessor(size=40, crop_size=32, do_center_crop=True, **NORM),
            (120, 120),
            (40, 32, "bicubic"),
        ),
        (
            transformers.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8, **NORM),
            (200, 110),
            (40, 32, "bicubic"),
        ),
        (
            transformers.ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.8, **NORM),
            (200, 200),
            (384, 384, "bicubic"),
        ),
        (
            transformers.LevitImageProcessor(size={"shortest_edge": 28}, crop_size=28, **NORM),
            (110, 200),
            (32, 28, "bicubic"),
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "save_pretrained") else None,
)
def test_hf_preprocessing_is_that_of_its_image_processor(processor, size, expected, tmp_path):
    config = transformers.ResNetConfig(**RESNET)
    save_hf(tmp_path / "m", processor, transformers.ResNetForImageClassification(config))
    found = load_classifier(f"hf:{tmp_path}/m").preprocess
    file = picture(tmp_path / "image.png", *size)
    wanted = processor(Image.open(file), return_tensors="pt")["pixel_values"][0]
    levels = (load_image(file, found).pixels - wanted) * torch.tensor(found.std)[:, None, None]
    assert (found.resize, found.crop, found.interpolation) == expected
    assert levels.abs().max() * 255 <= 2


def test_of_an_image_that_hf_would_squash_the_central_square_is_seen(tmp_path):
    save_hf(tmp_path / "m", vit_processor())
    found = load_classifier(f"hf:{tmp_path}/m").preprocess
    wide = Image.open(picture(tmp_path / "wide.png", 128, 64))
    wide.crop((32, 0, 96, 64)).save(tmp_path / "square.png")
    square = vit_processor()(Image.open(tmp_path / "square.png"), return_tensors="pt")
    seen = load_image(str(tmp_path / "wide.png"), found)
    assert seen.crop == (32, 0, 96, 64)
    inside = (seen.pixels - square["pixel_values"][0])[:, :, 2:-2]  # the edge has other neighbours
    assert inside.abs().max() <= 2 / 255 / 0.2


@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_an_image_is_explained(kind, resnet, tmp_path):
    if kind == "timm":
        torch.save(resnet.state_dict(), tmp_path / "w.pth")
        classifier = {"model": "timm:test_resnet", "weights": str(tmp_path / "w.pth")}
    else:
        save_hf(tmp_path / "m", vit_processor())
        classifier = {"model": f"hf:{tmp_path}/m"}
    (tmp_path / "images").mkdir()
    file = picture(tmp_path / "images/image.png", 90, 60)
    job = {"manifest": str(tmp_path / "images"), "steps": 3, "areas": [0.1, 0.3], "workers": 0}
    request = Request(load_job(None, job | classifier))
    result = ShardWorker(request.worker_spec())(Shard(tuple(request.manifest)))
    assert result.commit.rows == {"images": 1, "explanations": 1, "masks": 2, "failures": 0}
    image = load_image(file, request.classifier.preprocess).pixels
    [row] = pq.read_table(io.BytesIO(result.tables["images"])).to_pylist()
    scores = request.classifier.classify(image[None]).softmax(1)[0]
    assert row["predicted"] == scores.argmax()
    assert row["predicted_score"] == pytest.approx(scores.max().item(), rel=1e-4)
    assert row["predicted_name"] == request.classifier.classes[row["predicted"]]


@pytest.fixture
def without_a_network(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm:resnet18", "could not be downloaded; give a state dict with --weights FILE"),
        ("hf:some/model", "could not be downloaded; give a folder, as in hf:./FOLDER"),
        ("hf:./nowhere", "no such folder"),
        ("timm:test_resnett", "nearest known: .*test_resnet"),
        ("timm:resnet18.nonsense_in1k", "nearest known: .*resnet18"),
    ],
)
def test_wrong_names_and_no_network(spec, message, without_a_network):
    with pytest.raises(RequestError, match=message):
        load_classifier(spec)


@pytest.mark.parametrize(("spec", "package"), [("timm:resnet18", "timm"), ("hf:a/b", "hf")])
def test_a_library_that_is_not_installed(spec, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RequestError, match=rf'pip install "xaipipe\[{package}\]"'):
        load_classifier(spec)


def test_weights_of_another_timm_model(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "w.pth")
    with pytest.raises(RequestError, match="does not fit timm:test_vit"):
        load_classifier("timm:test_vit", weights=str(tmp_path / "w.pth"))


def test_a_timm_model_without_classes(tmp_path):
    save_for_hf(timm.create_model("test_resnet", num_classes=0), str(tmp_path))
    with pytest.raises(RequestError, match="gives features"):
        load_classifier(f"timm:local-dir:{tmp_path}")


def test_an_hf_model_without_a_trained_head(tmp_path):
    save_hf(tmp_path, vit_processor(), transformers.ViTModel(transformers.ViTConfig(**VIT)))
    with pytest.raises(RequestError, match="no weights for 2 tensors .first: classifier.bias"):
        load_classifier(f"hf:{tmp_path}")


def test_an_hf_folder_without_an_image_processor(tmp_path):
    save_hf(tmp_path, vit_processor())
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(RequestError, match="could not be loaded .*preprocessor_config.json"):
        load_classifier(f"hf:{tmp_path}")


def test_a_timm_model_under_hf(resnet, tmp_path):
    config = transformers.TimmWrapperConfig(architecture="test_resnet", num_labels=5)
    config.save_pretrained(tmp_path)
    with pytest.raises(RequestError, match=f"--model timm:local-dir:{tmp_path}"):
        load_classifier(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (vit_processor(do_rescale=False), "ViTImageProcessor does more than resize"),
        (
            transformers.MobileViTImageProcessor(
                size={"shortest_edge": 40}, crop_size=32, do_flip_channel_order=True
            ),
            "does more than resize",
        ),
        (
            transformers.CLIPImageProcessor(**SHORTEST, do_center_crop=False),
            "does not make every image a square",
        ),
        (vit_processor(size={"height": 32, "width": 64}), "does not make every image a square"),
        (vit_processor(resample=Image.Resampling.LANCZOS), "interpolation=lanczos; expected"),
    ],
    ids=["not rescaled", "blue first", "not cropped", "not square", "lanczos"],
)
def test_image_processors_that_cannot_be_followed(processor, message, tmp_path):
    save_hf(tmp_path, processor)
    with pytest.raises(RequestError, match=message):
        load_classifier(f"hf:{tmp_path}")
