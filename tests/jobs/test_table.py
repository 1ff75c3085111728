"""`xaipipe table`: ranks and disagreement beside the means, and the anytime figure."""

import pyarrow as pa
from PIL import Image

from pipeline.results import SCHEMA, RecordedRow, read_rows, side_by_side


def record(folder, name, method, passes, values, ids="ab", **more):
    """values: {metric: value}, of each image at two areas."""
    rows = [
        {"run": name, "method": method, "id": id_, "target": 1, "target_name": "t"}
        | {"metric": metric, "area": area, "value": value}
        for metric, value in values.items()
        for area in (0.1, 0.2)
        for id_ in ids
    ]
    asked = {"method": method, "weights": "w", "seed": 0, "preprocess": {}}
    about = {"fingerprint": asked, "passes": passes, **more}
    about |= {"cpu_seconds": None, "versions": {"xaipipe": None, "torch": "2"}}
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    keys = {"images": "photos", "model": "torchvision:x", "name": name}
    RecordedRow(**keys, about=about, table=table).write(folder)


def test_ranks_disagreement_and_the_figure(here, xaipipe):
    record(here / "rows", "ours", "inr", 128, {"kept": 0.5, "removed": 0.1, "perimeter": 1.2})
    record(here / "rows", "ep", "ep", 3200, {"kept": 0.4, "removed": 0.3, "perimeter": 1.1})
    record(here / "rows", "centre", "centre", 0, {"kept": 0.3, "removed": 0.2, "perimeter": 1.0})
    command = ("table", "rows", "--first", "ours", "--markdown", "t.md", "--plot", "t.png")
    code, text = xaipipe(*command)
    assert code == 0, text
    assert "metric 1 2 3 ours 1 1 3 centre 3 2 1 ep 2 3 2" in text
    # kept against removed: ours first in both, ep and centre swapped
    assert "1 kept 2 removed .33 3 perimeter -1.00 -.33" in text
    assert (
        "tau of two metrics is -.33 in the mean, and least between kept and perimeter: -1.00"
        in text
    )
    lines = (here / "t.md").read_text().splitlines()
    assert "| ours | 1 | 1 | 3 |" in lines and "| perimeter | -1.00 | -.33 |  |" in lines
    assert "| ours minus | 0.1 | 0.2 |" in lines
    assert "| ep, removed | -.20 [-.20 -.20] | -.20 [-.20 -.20] |" in lines
    assert "| centre, perimeter | .20 [.20 .20] | .20 [.20 .20] |" in lines
    with Image.open("t.png") as page:
        assert page.width > 500


def test_one_row_alone_has_ranks_and_no_disagreement(here, xaipipe):
    record(here / "rows", "centre", "centre", 0, {"kept": 0.3, "removed": 0.2})
    code, text = xaipipe("table", "rows", "--markdown", "t.md", "--plot", "t.png")
    assert code == 0 and "metric 1 2 centre 1 1" in text and "in the mean" not in text
    assert "| removed | - |  |" in (here / "t.md").read_text()


def test_scores_of_another_judge_are_not_held_against_each_other(here, xaipipe):
    for name, judge in (("a", "j"), ("b", "j"), ("c", "other"), ("d", None)):
        values = {"kept": 0.5, "kept_judge": 0.4}
        record(here / "rows", name, "inr", 1, values, judge_weights=judge)
    code, text = xaipipe("table", "rows", "--markdown", "t.md")
    assert code == 0, text
    shared = dict(side_by_side(read_rows(here / "rows"))[0][1].values("kept_judge"))
    assert {row for area in shared.values() for row in area} == {"a", "b"}
    kept = side_by_side(read_rows(here / "rows"))[0][1].values("kept")
    assert {row for area in kept.values() for row in area} == set("abcd")


def test_a_row_of_few_images_can_be_left_out(here, xaipipe):
    record(here / "rows", "ours", "inr", 128, {"kept": 0.5, "removed": 0.1})
    record(here / "rows", "ep", "ep", 3200, {"kept": 0.4, "removed": 0.3})
    code, text = xaipipe("table", "rows", "--without", "ep")
    assert code == 0 and "metric 1 2 ours 1 1" in text and "ep" not in text.split(), text
    for names, message in (
        (("rise",), "--without rise: no such row; there are ep, ours"),
        (("ep", "ours"), "--without: leaves no row"),
    ):
        given = [part for name in names for part in ("--without", name)]
        code, text = xaipipe("table", "rows", *given)
        assert code == 2 and message in text, text


def test_a_figure_that_cannot_be_written_is_said_first(here, xaipipe):
    (here / "folder").mkdir()
    code, text = xaipipe("table", "nowhere", "--plot", "folder")
    assert code == 2 and "--plot folder: cannot be written: it is a folder" in text


def test_short_rows_are_named(here, xaipipe):
    for name, ids in (("ours", "abcd"), ("start", "abcd"), ("ep", "ab"), ("rise", "ab")):
        record(here / "rows", name, "inr", 1, {"kept": 0.5}, ids)
    code, text = xaipipe("table", "rows")
    assert code == 0 and "photos, torchvision:x: 2 images" in text
    assert "--without ep --without rise would leave 4 images" in text
    code, text = xaipipe("table", "rows", "--without", "ep", "--without", "rise")
    assert code == 0 and "photos, torchvision:x: 4 images" in text and "would leave" not in text
