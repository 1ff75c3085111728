"""Classifiers of timm and transformers against the libraries themselves, on models made here."""

import io
import sys

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
from pipeline.classifiers.classifier import load_classifier
from pipeline.images.loading import load_image
from pipeline.run.plan import Request
from pipeline.run.worker import ShardWorker
from pipeline.tables.shard import Shard
from tests.hubs import VIT, picture, save_hf, vit_processor


@pytest.fixture(scope="module")
def resnet():
    """timm's test_resnet with 5 classes and batch norms that have seen something."""
    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=5)
    module(torch.randn(8, 3, 64, 64) + 1)
    return module.eval()


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


def test_timm_with_weights_for_one_channel(tmp_path):
    module = timm.create_model("test_resnet", num_classes=5, in_chans=1).eval()
    torch.save(module.state_dict(), tmp_path / "w.pth")
    found = load_classifier("timm:test_resnet", weights=str(tmp_path / "w.pth"))
    assert found.preprocess.shape == (1, 160, 160)
    assert found.preprocess.mean == pytest.approx([sum(module.pretrained_cfg["mean"]) / 3])
    image = torch.randn(2, *found.preprocess.shape)
    torch.testing.assert_close(found.classify(image), module(image).detach())


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
