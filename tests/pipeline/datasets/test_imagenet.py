"""The classes of ImageNet by their WordNet ids."""

import csv
import os
import tomllib
from pathlib import Path

import pytest

from pipeline.datasets.imagenet import class_index, wnids

ASSETS = Path(os.environ.get("XAIPIPE_ASSETS", "/nonexistent"))


def test_the_wordnet_ids_of_imagenet():
    assert len(wnids()) == len(set(wnids())) == 1000
    assert list(wnids()) == sorted(wnids())
    known = {  # class indices that everybody uses
        "n01440764": 0,
        "n01443537": 1,
        "n02099601": 207,
        "n02123045": 281,
        "n02504013": 385,
        "n03954731": 726,
        "n15075141": 999,
    }
    assert {wnid: class_index(wnid) for wnid in known} == known
    assert class_index("n00000001") is None
    settings = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "*.txt" in settings["tool"]["setuptools"]["package-data"]["*"]  # so that it is installed


@pytest.mark.skipif(not (ASSETS / "imagenet").exists(), reason="XAIPIPE_ASSETS is not there")
def test_the_wordnet_ids_in_the_names_of_real_photographs():
    with open(ASSETS / "imagenet" / "photos.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["image"]).name.startswith("n")]
    assert len(rows) == 80
    for row in rows:
        assert class_index(Path(row["image"]).name[:9]) == int(row["target"])
