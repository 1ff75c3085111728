"""`xaipipe show`: one image, several, a query; styles; animations; images that have moved."""

import shutil

import numpy as np
import pytest
from PIL import Image

import pipeline


@pytest.fixture
def pictures(xaipipe, shapes_run, tmp_path):
    """Run `show`; returns the names of what it wrote and what it printed."""

    def show(*arguments, out=shapes_run):
        to = tmp_path / "pictures"
        code, text = xaipipe("show", out, *arguments, "--to", to)
        assert code == 0, text
        return {path.name: path for path in to.iterdir()}, text

    return show


def test_one_image_has_a_page_and_a_picture_for_every_mask(pictures):
    files, text = pictures("shapes-00001", "--style", "blur")
    expected = {
        f"shapes-00001_restart{r}_round{k}_area{a}.png"
        for r in (0, 1)
        for k in (0, 1)
        for a in (0.05, 0.2)
    }
    assert set(files) == expected | {"shapes-00001.png"} and "shapes-00001.png" in text


def test_an_id_becomes_a_name_that_no_other_id_has(pictures):
    files, _ = pictures("rotated/ü 1", "--style", "heat")
    (page,) = [name for name in files if "_restart" not in name]
    assert page.startswith("rotated_ü_1-") and f"{page[:-4]}_restart0_round0_heat.png" in files


def size(path):
    with Image.open(path) as image:
        return image.size


def test_several_ids_and_a_query_make_one_contact_sheet(pictures):
    files, _ = pictures("shapes-00001", "shapes-00002")
    assert set(files) == {"contact.png"}
    two = size(files["contact.png"])
    files, _ = pictures("--sort", "score", "--top", 3)
    three = size(files["contact.png"])
    assert set(files) == {"contact.png"} and three[0] > two[0] and three[1] == two[1]
    files, _ = pictures("--where", "split = 'test'", "--areas", ".1,.2", "--top", 2)
    rows = size(files["contact.png"])
    assert rows[0] == three[0] and rows[1] > 1.7 * three[1]


def test_a_query_that_finds_one_image_shows_all_of_it(pictures):
    files, _ = pictures("--where", "split = 'train'", "--areas", ".1")
    assert len(files) == 1 + 4 and all(name.startswith("rotated_ü_1-") for name in files)


def test_without_ids_or_a_query_the_first_images_are_shown(pictures):
    files, _ = pictures()
    assert set(files) == {"contact.png"}


def test_a_mask_grows_in_a_webp(pictures):
    files, _ = pictures("shapes-00000", "shapes-00002", "--animate", "--style", "outline")
    assert set(files) == {"contact.png", "shapes-00000.webp", "shapes-00002.webp"}
    with Image.open(files["shapes-00000.webp"]) as clip:
        assert clip.n_frames > 10


def test_images_that_have_moved(pictures, xaipipe, shapes_run, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shapes_run, out)
    before, _ = pictures("shapes-00001", out=out)
    there = np.array(Image.open(before["shapes-00001.png"]))
    run = pipeline.read(str(out))
    image = run.image("shapes-00001")["image"]
    shutil.copytree(shapes_run.parent / "data" / "images", tmp_path / "moved" / "images")
    aside = f"{image}.aside"
    shutil.move(image, aside)
    try:
        code, text = xaipipe("show", out, "shapes-00001", "--to", tmp_path / "p")
        assert code == 2 and "--root" in text
        files, _ = pictures("shapes-00001", "--root", tmp_path / "moved", out=out)
        assert np.array_equal(np.array(Image.open(files["shapes-00001.png"])), there)
        target = tmp_path / "c.png"
        arguments = ["compare", out, "--root", tmp_path / "moved", "--to", target, "--area", ".2"]
        code, text = xaipipe(*arguments, "--style", "outline", "--limit", 3)
        assert code == 0 and target.exists(), text
    finally:
        shutil.move(aside, image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "scor > 1"], "the columns are id, image"),
        (["--where", "score > 2"], "no image of"),
        (["shapes-00001", "--where", "score > .1"], "either ids or"),
        (["shapes-00001", "--style", "fancy"], "outline, dim, blur, heat"),
        (["shapes-00001", "--root", "/nowhere"], "holds no shapes-00001.png"),
        (["shapes-00001", "--style", "heat", "--animate"], "another --style"),
        (["nobody"], "no such id"),
    ],
)
def test_what_cannot_be_shown_is_said(xaipipe, shapes_run, tmp_path, arguments, message):
    code, text = xaipipe("show", shapes_run, *arguments, "--to", tmp_path / "p")
    assert code == 2 and message in text and "Traceback" not in text
