"""Class names from files of all forms; wrong ones are told."""

import json

import pytest

from pipeline import RequestError
from pipeline.classifiers import load_classifier, read_labels
from pipeline.shapes import CLASSES

NAMES = ("tench, Tinca tinca", "goldfish", "großer Hai")


def written(tmp_path, text, name="labels.txt"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(NAMES),
        "\n".join(NAMES) + "\n\n",
        "\ufeff" + "\r\n".join(NAMES),
        "".join(f'{n},"{name}"\n' for n, name in enumerate(NAMES)),
        "index,name\n" + "".join(f"{n}, {name}\n" for n, name in reversed([*enumerate(NAMES)])),
        json.dumps(NAMES),
        json.dumps({str(n): name for n, name in enumerate(NAMES)}),
        json.dumps({"id2label": {str(n): name for n, name in enumerate(NAMES)}, "x": 1}),
    ],
)
def test_names_are_read_in_the_order_of_their_indices(tmp_path, text):
    assert read_labels(written(tmp_path, text)) == NAMES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n\nb", "line 2 is ''"),
        ("0,a\n0,b\n", "class 0 has two names"),
        ("0,a\n2,b\n", "class 1 has no name, class 2 has"),
        ("0,a\n1,\n", "class 1 is ''"),
        ('["a", 3]', "entry 1 is 3"),
        ('{"a": "b"}', "'a' is no class index"),
        ('["a"', "expected one name a line"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, said):
    with pytest.raises(RequestError, match="--labels") as error:
        read_labels(written(tmp_path, text))
    assert said in str(error.value)


def test_a_file_that_is_not_there():
    with pytest.raises(RequestError, match="cannot be read"):
        read_labels("/nowhere/labels.txt")


def test_a_classifier_takes_as_many_names_as_it_has_classes():
    names = [f"class-{n}" for n in range(len(CLASSES))]
    assert load_classifier("builtin:shapes", labels=names).classes == tuple(names)
    with pytest.raises(RequestError, match=f"3 names for the {len(CLASSES)} classes"):
        load_classifier("builtin:shapes", labels=NAMES)
