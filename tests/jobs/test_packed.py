"""Runs of tar archives and of Parquet with image bytes, and whatever reads the images again."""

import csv
import io
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from pipeline import Request, load_job
from pipeline.run import driver
from pipeline.shapes import CLASSES, write_dataset
from tests.packed import written_parquet, written_tar

IMAGES = 5
GIVEN = {"model": "builtin:shapes", "workers": 0, "steps": 3, "areas": [0.1, 0.3], "shard_size": 2}
CUT = 3  # of the images in the first file


def explained(manifest, out):
    summary = driver.run(
        Request(load_job(None, {"manifest": str(manifest), "out": str(out), **GIVEN})),
        lambda progress: None,
    )
    assert (summary.explained, summary.failed) == (IMAGES, 0)
    return out


def pack(kind, folder, rows):
    """The images with their targets and object masks in two files; returns a pattern of these."""
    for number, part in enumerate((rows[:CUT], rows[CUT:])):
        data = [(row, row["image"].read_bytes(), row["mask"].read_bytes()) for row in part]
        if kind == "tar":
            members = {}
            for row, image, mask in data:
                members |= {f"{row['id']}.png": image, f"{row['id']}.mask.png": mask}
                members[f"{row['id']}.cls"] = str(CLASSES.index(row["target"]))
            written_tar(folder / f"{number}.tar", members)
        else:
            struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            cells = [{"bytes": image, "path": None} for _, image, _ in data]
            columns = {
                "image": pa.array(cells, struct),
                "mask": pa.array([mask for *_, mask in data], pa.binary()),
                "id": [row["id"] for row, *_ in data],
                "target": [row["target"] for row, *_ in data],
            }
            written_parquet(folder / f"{number}.parquet", pa.table(columns), 2)
    return f"{folder}/{{0..1}}.{kind}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The images as files of their own, and the run that explains them."""
    folder = tmp_path_factory.mktemp("data")
    manifest = write_dataset(folder, IMAGES, 0)
    with open(manifest) as file:
        rows = [
            {**row, "image": folder / row["image"], "mask": folder / row["mask"]}
            for row in csv.DictReader(file)
        ]
    return rows, explained(manifest, folder / "out")


@pytest.fixture(scope="module", params=["tar", "parquet"])
def packed(request, tmp_path_factory, data):
    """Kind, folder with the files, and the run."""
    folder = tmp_path_factory.mktemp(request.param)
    pattern = pack(request.param, folder / "data", data[0])
    return request.param, folder / "data", explained(pattern, folder / "out")


def rows_of(out, table, *without):
    rows = getattr(pipeline.read(str(out)), table).to_table().to_pylist()
    kept = [{k: v for k, v in row.items() if k not in without} for row in rows]
    return sorted(kept, key=lambda row: [row["id"], row.get("area", 0), row.get("round", 0)])


def test_explained_as_files_of_their_own(data, packed):
    for table in ("explanations", "masks"):
        assert rows_of(packed[2], table) == rows_of(data[1], table)
    more = ("image", "mask", "cue_mask", "bbox")
    assert rows_of(packed[2], "images", *more) == rows_of(data[1], "images", *more)
    assert all(row["image"].startswith(f"{packed[0]}://") for row in rows_of(packed[2], "images"))


def test_what_is_explained_already_stays(packed):
    kind, folder, out = packed
    for pattern in (f"{folder}/{{0..1}}.{kind}", f"{folder}/*.{kind}"):
        given = {"manifest": pattern, "out": str(out), **GIVEN, "changed": "explain"}
        request = Request(load_job(None, given))
        found = request.plan(request.committed())
        assert (found.done, found.pending) == (IMAGES, 0)


@pytest.mark.parametrize("moved", [False, True])
def test_whatever_reads_the_images_again(packed, data, xaipipe, tmp_path, moved):
    kind, folder, out = packed
    root = []
    if moved:
        shutil.copytree(folder.parent, tmp_path / "all")
        for file in (tmp_path / "all/data").iterdir():
            file.rename(tmp_path / "all" / file.name)
        out, root = tmp_path / "all/out", ["--root", tmp_path / "all"]
        shutil.move(folder, folder.parent / "away")
    else:
        shutil.copytree(out, tmp_path / "out")
        out = tmp_path / "out"
    try:
        id_ = pipeline.read(str(out)).ids(1)[0]
        for command in (
            ["show", out, id_, "--to", tmp_path / "show", *root],
            ["report", out, "--to", tmp_path / "report.html", *root],
            ["evaluate", out, *root],
            ["regions", out, *root],
            ["diff", out, data[1], *root],
            ["export", out, "--to", "hf", "--dest", tmp_path / "hf", *root],
        ):
            code, text = xaipipe(*command)
            assert code == 0, (command[0], text)
    finally:
        if moved:
            shutil.move(folder.parent / "away", folder)
    assert len(pipeline.read(str(out)).derived("regions").to_table()) >= IMAGES
    exported = pq.read_table(next((tmp_path / "hf/data").glob("*.parquet"))).to_pylist()
    originals = {row["id"]: row["image"].read_bytes() for row in data[0]}
    assert {row["id"]: row["image"]["bytes"] for row in exported} == originals
    names = {row["image"]["path"] for row in exported}
    assert names == (
        {f"{id_}.png" for id_ in originals}
        if kind == "tar"
        else {"0-0", "0-1", "0-2", "1-0", "1-1"}
    )


def test_an_image_that_has_changed_is_explained_anew(data, tmp_path):
    pattern = pack("tar", tmp_path, data[0])
    out = explained(pattern, tmp_path / "out")
    with Image.open(data[0][1]["image"]) as image:
        sink = io.BytesIO()
        image.transpose(Image.Transpose.ROTATE_90).save(sink, "PNG")
    rows = [dict(row) for row in data[0]]
    other = tmp_path / "other.png"
    other.write_bytes(sink.getvalue())
    rows[1]["image"] = other
    pack("tar", tmp_path, rows)
    given = {"manifest": pattern, "out": str(out), **GIVEN}
    for decision, pending in ((None, 0), ("explain", 1)):
        request = Request(load_job(None, {**given, "changed": decision}))
        assert request.plan(request.committed()).pending == pending


def test_from_a_bucket(data, s3_url, s3_server, tmp_path):
    """Listing and reading of two archives take few requests, whatever they hold."""
    import s3fs

    pack("tar", tmp_path, data[0])
    for number in range(2):
        s3fs.S3FileSystem().put(f"{tmp_path}/{number}.tar", f"{s3_url}/d/{number}.tar")
    s3_server.sent = sent = []
    out = explained(f"{s3_url}/d/*.tar", tmp_path / "out")
    assert rows_of(out, "masks") == rows_of(data[1], "masks")
    assert sum(method == "GET" and size > 0 for method, size in sent) <= 12
