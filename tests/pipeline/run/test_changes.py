"""Runs over manifests and files that have changed, and outputs that have lost files."""

import os
from collections import Counter
from pathlib import Path

import pytest

import pipeline
from pipeline import Request, RequestError, RunError, load_job
from pipeline.run import Status, driver
from pipeline.shapes import CLASSES, write_dataset
from tests.variants import variants

FAST = {"steps": 2, "areas": [0.1], "model": "builtin:shapes", "workers": 0, "shard_size": 3}


@pytest.fixture
def data(tmp_path):
    """A manifest of six images with ids, by lines."""
    manifest = write_dataset(tmp_path / "data", 6, 0)
    lines = manifest.read_text().splitlines()
    return manifest, lines


def explain(manifest, out, **changes):
    job = load_job(None, {**FAST, "manifest": str(manifest), "out": str(out), **changes})
    return driver.run(Request(job), lambda progress: None)


def rows(out, table="images"):
    keys = [("id", "ascending")]
    return getattr(pipeline.read(str(out)), table).to_table().sort_by(keys).to_pylist()


def each_once(out, count=6):
    """Every image once in `images`, and its rows with it, in the folder as anyone reads it."""
    import pyarrow.parquet as pq

    for table in ("images", "explanations", "masks"):
        ids = pq.read_table(out / table, columns=["id"])["id"].to_pylist()
        assert len(ids) == count and set(Counter(ids).values()) == {1}, table
    return True


def another(target):
    return CLASSES[(CLASSES.index(target) + 1) % len(CLASSES)]


def write(manifest, lines):
    manifest.write_text("\n".join(lines) + "\n")


def test_changed_rows_are_named_and_the_option_decides(data, tmp_path):
    manifest, lines = data
    out = tmp_path / "out"
    assert explain(manifest, out).explained == 6
    before = rows(out)
    one, two = lines[2].split(","), lines[5].split(",")
    two[1] = lines[1].split(",")[1]  # another image
    one[2] = another(one[2])
    write(manifest, [*lines[:2], ",".join(one), *lines[3:5], ",".join(two), *lines[6:]])
    with pytest.raises(RequestError) as refused:
        explain(manifest, out)
    message = str(refused.value)
    assert (
        f"{one[0]}: " in message
        and f"target {CLASSES.index(one[2])}" in message
        and f"{two[0]}: " in message
    )
    assert "2 ids" in message and "--changed explain" in message and "--changed keep" in message
    assert f"{before[0]['id']}:" not in message and rows(out) == before
    assert explain(manifest, out, changed="keep").explained == 0
    assert rows(out) == before
    assert explain(manifest, out, changed="explain").explained == 2
    assert each_once(out)
    explain(manifest, tmp_path / "whole")
    assert rows(out) == rows(tmp_path / "whole")
    assert rows(out, "masks") == rows(tmp_path / "whole", "masks")
    assert explain(manifest, out).explained == 0


def test_all_rows_of_a_shard_may_change(data, tmp_path):
    manifest, lines = data
    out = tmp_path / "out"
    explain(manifest, out)
    cells = [line.split(",") for line in lines[1:]]
    for row in cells:
        row[2] = another(row[2])
    write(manifest, [lines[0], *map(",".join, cells)])
    assert explain(manifest, out, changed="explain").explained == 6
    assert each_once(out)


def test_new_content_under_the_same_path_is_explained_on_request(data, tmp_path):
    manifest, lines = data
    out, images = tmp_path / "out", sorted((tmp_path / "data" / "images").iterdir())
    explain(manifest, out)
    before = {row["id"]: row for row in rows(out)}
    size = images[1].stat().st_size
    images[0].write_bytes(images[3].read_bytes() + b"\0")  # another size
    content = images[1].read_bytes()
    images[1].write_bytes(content[:-1] + b"\0")  # another content of the same size
    assert images[1].stat().st_size == size
    os.utime(images[2])  # touched, but the same
    images[4].unlink()  # what was explained stays
    assert explain(manifest, out).explained == 0  # not without being asked
    assert explain(manifest, out, changed="explain").explained == 2
    assert each_once(out)
    after = {row["id"]: row for row in rows(out)}
    assert [id_ for id_ in before if before[id_]["digest"] != after[id_]["digest"]] == sorted(
        row["id"] for row in after.values() if Path(row["image"]) in images[:2]
    )


def test_images_in_a_bucket_are_compared_too(data, tmp_path, s3_url):
    import fsspec

    manifest, _ = data
    fs = fsspec.filesystem("s3")
    fs.put(str(tmp_path / "data" / "images"), f"{s3_url}/data/images", recursive=True)
    out = tmp_path / "out"
    explain(manifest, out, root=f"{s3_url}/data", limit=3)
    image = rows(out)[1]["image"]
    fs.pipe_file(image, fs.cat_file(image)[:-1] + b"\0")
    assert explain(manifest, out, root=f"{s3_url}/data", limit=3, changed="explain").explained == 1
    assert each_once(out, 3)


def test_data_that_has_moved_is_not_explained_again(data, tmp_path):
    manifest, _ = data
    out, moved = tmp_path / "out", tmp_path / "mounted" / "elsewhere"
    explain(manifest, out)
    moved.parent.mkdir()
    manifest.parent.rename(moved)
    assert explain(moved / manifest.name, out).explained == 0
    assert explain(moved / manifest.name, out, changed="explain").explained == 0


@pytest.mark.parametrize("table", variants(["images", "explanations", "masks"]))
def test_deleted_and_damaged_tables_are_explained_again(data, tmp_path, table):
    manifest, _ = data
    out = tmp_path / "out"
    explain(manifest, out)
    wanted = rows(out), rows(out, "masks")
    for damage in (Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-1])):
        damage(sorted((out / table).glob("s-*"))[0])
        status = Status.of(pipeline.read(str(out)).folder)
        assert (status.explained, status.lost, status.pending) == (3, 3, 3)
        assert len(rows(out)) == 3
        assert explain(manifest, out).explained == 3
        assert each_once(out)
        assert (rows(out), rows(out, "masks")) == wanted
        assert Status.of(pipeline.read(str(out)).folder).lost == 0


def test_a_truncated_fingerprint_is_no_dead_end(data, tmp_path):
    manifest, _ = data
    out = tmp_path / "out"
    explain(manifest, out)
    file = out / "_run" / "fingerprint.json"
    content = file.read_bytes()
    file.write_bytes(content[:50])
    assert len(rows(out)) == 6
    assert explain(manifest, out).explained == 0
    assert file.read_bytes() == content


def broken(folder, count):
    """A manifest of so many files that are no images, and then two images."""
    manifest = write_dataset(folder, 2, 0)
    lines = manifest.read_text().splitlines()
    (folder / "images" / "text.png").write_text("no picture")
    bad = [f"bad-{n},images/text.png,0" + "," * (lines[0].count(",") - 2) for n in range(count)]
    write(manifest, [lines[0], *bad, *lines[1:]])
    return manifest


def test_a_run_of_failures_stops_with_the_most_frequent_reason(tmp_path):
    manifest = broken(tmp_path / "data", 120)
    with pytest.raises(RunError, match="100 .*in a row.*100 times.*decode: .*not an image"):
        explain(manifest, tmp_path / "out", shard_size=10)
    assert pipeline.read(str(tmp_path / "out")).failures.count_rows() == 100
    assert explain(manifest, tmp_path / "out", shard_size=10).explained == 2  # it goes on


@pytest.mark.parametrize(("most", "stopped"), [(9, 10), (0.25, 35), (1000, 120)])
def test_how_many_failures_in_a_row_may_be_asked_for(tmp_path, most, stopped):
    manifest = broken(tmp_path / "data", 120)
    explain(manifest, tmp_path / "out", select={"id": "shapes-00000"})  # one is explained
    changes = {"shard_size": 5, "max_failures": most}
    if stopped < 120:
        with pytest.raises(RunError, match=f"{stopped} images in a row"):
            explain(manifest, tmp_path / "out", **changes)
    else:
        assert explain(manifest, tmp_path / "out", **changes).explained == 1
    assert pipeline.read(str(tmp_path / "out")).failures.count_rows() == stopped


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_a_wrong_number_of_failures_is_refused(wrong):
    with pytest.raises(RequestError, match="max_failures: expected a count"):
        load_job(None, {**FAST, "manifest": "m.csv", "max_failures": wrong})
