"""Parts of a run: every image once, with all its rows."""

import pipeline
from pipeline.report.parts import home, parts


def test_parts_hold_every_image_once_with_all_its_rows(runs):
    reader = pipeline.read(str(runs / "ours"))
    several = list(parts(reader, 2))
    assert len(several) > 1
    ids = [part.images.to_table()["id"].to_pylist() for part in several]
    assert sorted(sum(ids, [])) == sorted(reader.ids(100))
    some = reader.ids(3)
    of_some = home(reader, some)
    assert 1 <= len(of_some.images.files) < len(reader.images.files)
    for id_ in some:
        for table in ("images", "explanations", "masks"):
            assert of_some.rows(table, id_) == reader.rows(table, id_) != []
