"""Copies of classifiers of every kind are written as `--weights` takes them."""

import pytest
import timm
import torch

from pipeline import RequestError
from pipeline.classifiers import load_classifier
from pipeline.copies import Copied, draw_anew
from tests.hubs import save_hf, vit_processor


@pytest.mark.parametrize("kind", ["hf", "timm", "builtin"])
def test_a_changed_copy_is_what_its_weights_make(kind, tmp_path):
    weights = None
    if kind == "hf":
        save_hf(tmp_path / "vit", vit_processor())
    if kind == "timm":
        weights = str(tmp_path / "w.pth")
        torch.save(timm.create_model("test_vit").state_dict(), weights)
    specs = {"hf": f"hf:{tmp_path}/vit", "timm": "timm:test_vit", "builtin": "builtin:shapes"}
    copied = Copied.of(specs[kind], weights)
    before = load_classifier(specs[kind], weights=weights)
    draw_anew(copied.module, 0.5, 0)
    copied.save(tmp_path / "copy.pth")
    found = load_classifier(specs[kind], weights=str(tmp_path / "copy.pth"))
    image = torch.randn(2, *found.preprocess.shape)
    with torch.no_grad():
        wanted = copied.module.eval()(image)
        assert torch.allclose(found.classify(image), wanted, atol=1e-4)
        assert not torch.allclose(before.classify(image), wanted, atol=1e-2)
    assert found.classes == before.classes == copied.classes
    assert found.preprocess == copied.preprocess


@pytest.mark.parametrize("spec", ["torchscript:a.pt", "export:a.pt2"])
def test_files_that_bring_their_weights_are_refused(spec):
    with pytest.raises(RequestError, match="takes no others; give the module itself"):
        Copied.of(spec)
