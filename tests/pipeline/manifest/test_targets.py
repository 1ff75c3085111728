"""Targets: by index and by name, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest import AnyTargets, Manifest
from tests.manifests import (
    CLASSES,
    in_format,
    refs,
    refusal,
    written,
)


def test_targets_by_index_and_name(tmp_path: Path) -> None:
    given = ["0", "tench", "Goldfish", "GREAT WHITE SHARK", "Cardigan", "cardigan", "", " 5", "6.0"]
    text = "id,image,target\n" + "".join(f"{i},a.jpg,{t}\n" for i, t in enumerate(given))
    found = refs(written(tmp_path / "m.csv", text), classes=CLASSES)
    assert [ref.target for ref in found] == [0, 0, 1, 2, 3, 4, None, 5, 6]


@pytest.mark.parametrize(
    ("target", "classes", "said"),
    [
        ("7", CLASSES, "expected 0 to 6"),
        ("-1", CLASSES, "expected 0 to 6"),
        ("-1", None, "expected 0 upwards"),
        ("1000", 1000, "expected 0 to 999"),
        ("1.5", 10, "no class index"),
        ("1_0", 100, "no class index"),
        ("tench", 1000, "names need a classifier with class names"),
        ("tensh", CLASSES, "nearest is 'tench'"),
        ("TENSH", CLASSES, "nearest is 'tench'"),
        ("CARDIGAN", CLASSES, "classes 3, 4 alike; give the index"),
        ("crane", CLASSES, "classes 5, 6 alike; give the index"),
        ("zzzzzz", CLASSES, "no class of the classifier"),
    ],
)
def test_wrong_target(
    tmp_path: Path, target: str, classes: list[str] | int | None, said: str
) -> None:
    uri = written(tmp_path / "m.csv", f"image,target\na.jpg,1\nb.jpg,{target}\n")
    message = refusal(uri, classes=classes)
    assert message.startswith(f"{uri}: line 3: target ")
    assert target in message and said in message


def test_wordnet_ids_where_there_are_1000_classes(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,target\na.jpg,n01440764\nb.jpg,n15075141\n")
    names = [f"class {k}" for k in range(1000)]
    for classes in (1000, names):
        assert [ref.target for ref in refs(uri, classes=classes)] == [0, 999]
    own = [*names[:5], "n01440764", *names[6:]]  # a name of the classifier's own comes first
    assert refs(uri, classes=own)[0].target == 5
    assert "the WordNet id of no class" in refusal(uri, classes=CLASSES)
    wrong = written(tmp_path / "w.csv", "image,target\na.jpg,n00000001\n")
    assert "the WordNet id of no class" in refusal(wrong, classes=1000)


def test_any_index_where_the_classes_are_unknown(tmp_path: Path) -> None:
    uri = written(tmp_path / "m.csv", "image,target\na.jpg,123456\n")
    assert refs(uri)[0].target == 123456


def test_target_of_json_and_parquet(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": "a.jpg", "target": 2.0}, {"image": "b.jpg"}]
    for suffix in (".jsonl", ".parquet"):
        found = refs(in_format(tmp_path, suffix, rows), classes=3)
        assert [ref.target for ref in found] == [2, None]


def test_any_text_is_taken_where_no_classifier_says_what_is_a_class(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("image,target\na.png,tench\nb.png,7.0\nc.png,tench\nd.png,Tench\n")
    targets = AnyTargets()
    found = [ref.target for ref in Manifest(str(file), classes=targets, labelled=True)]
    assert found[0] == found[2] and len(set(found)) == 3
    texts = [targets.text(index) for index in found if index is not None]
    assert texts == ["tench", "7", "tench", "Tench"]
