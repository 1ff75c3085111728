"""Runs are held against each other on the images whose class they have in common."""

import pytest

from pipeline import RequestError
from pipeline.results.alignment import same_class


class Run:
    """The images table of a run: (id, target) of each row."""

    def __init__(self, *keys):
        self.keys = keys
        self.store = type("Store", (), {"uri": "run"})

    @property
    def images(self):
        import pyarrow as pa
        import pyarrow.dataset as ds

        rows = [{"id": id_, "target": target} for id_, target in self.keys]
        return ds.dataset(pa.Table.from_pylist(rows))

    def images_of(self, id_):
        rows = [{"id": i, "target": t} for i, t in self.keys if i == id_]
        if not rows:
            raise RequestError(f"{id_}: no such id")
        return rows


ONE = Run(("c", 1), ("b", 1), ("a", 1), ("a", 2), ("x", 3))
TWO = Run(("a", 2), ("a", 7), ("b", 5), ("c", 1), ("y", 3))


def test_images_and_classes_in_common_are_paired_and_the_rest_is_counted():
    assert same_class([ONE, TWO]) == ([("a", 2), ("c", 1)], 1)  # b has other classes
    assert same_class([ONE, TWO], ["c", "b"]) == ([("c", 1)], 1)
    assert same_class([ONE, TWO], ["c", "a"]) == ([("c", 1), ("a", 2)], 0)
    assert same_class([ONE]) == ([("a", 1), ("a", 2), ("b", 1), ("c", 1), ("x", 3)], 0)


def test_nothing_in_common_is_refused():
    with pytest.raises(RequestError, match="no image was explained in all of"):
        same_class([Run(("a", 1)), Run(("b", 1))])
    with pytest.raises(RequestError, match="nobody: no such id"):
        same_class([ONE, TWO], ["nobody"])
