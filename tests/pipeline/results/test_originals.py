"""Images that have moved are found; others than those explained are refused."""

import shutil

import pytest
from PIL import Image

import pipeline
from pipeline import RequestError
from pipeline.results.originals import Originals


@pytest.fixture
def row(shapes_run):
    return pipeline.read(str(shapes_run)).image("shapes-00001")


@pytest.mark.parametrize("inside", ["", "images", "data/images"])
def test_the_longest_end_of_the_path_that_is_there_counts(row, tmp_path, inside):
    target = tmp_path / "new" / inside
    target.mkdir(parents=True)
    shutil.copy(row["image"], target)
    if inside:  # a file of this name directly in the root is another image
        Image.new("RGB", (128, 128)).save(tmp_path / "new" / "shapes-00001.png")
    originals = Originals(str(tmp_path / "new"))
    assert originals.uri(row) == str(target / "shapes-00001.png")
    assert originals.open(row).tobytes() == Originals().open(row).tobytes()
    assert originals.data(row) == (target / "shapes-00001.png").read_bytes()


def test_images_in_a_bucket(row, s3_url):
    import s3fs

    s3fs.S3FileSystem().put(row["image"], f"{s3_url}/moved/images/shapes-00001.png")
    originals = Originals(f"{s3_url}/moved/")
    assert originals.uri(row) == f"{s3_url}/moved/images/shapes-00001.png"
    assert originals.open(row).size == (128, 128)
    with open(row["image"], "rb") as file:
        assert originals.data(row) == file.read()


def test_what_is_not_there_or_another_image_is_refused(row, tmp_path):
    with pytest.raises(RequestError, match=r"--root .* holds no shapes-00001.png"):
        Originals(str(tmp_path)).open(row)
    with pytest.raises(RequestError, match=r"no such file; .* --root"):
        Originals().open({**row, "image": "/nowhere/a.png"})
    Image.new("RGB", (64, 32)).save(tmp_path / "shapes-00001.png")
    with pytest.raises(RequestError, match="was 128 x 128 pixels .* is 64 x 32 now"):
        Originals(str(tmp_path)).open(row)
