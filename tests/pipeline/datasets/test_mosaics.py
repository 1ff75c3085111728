"""Mosaics: cells are the images they name, classes differ, and the same command goes on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import RequestError
from pipeline.datasets import Part, mosaics_source

SIDE = 16


def parts(folder, targets):
    """Images of one colour each, wider than high, with a black rim on the left and right."""
    found = []
    for n, target in enumerate(targets):
        pixels = np.zeros((20, 40, 3), np.uint8)
        pixels[:, 10:30] = 255 - n, n, 100
        file = folder / f"{n}.png"
        Image.fromarray(pixels).save(file)
        found.append(Part(f"image {n}", str(file), target))
    return found


def mosaics(folder, own, **options):
    """Rows by mosaic."""
    rows = list(mosaics_source(own, str(folder / "out"), side=SIDE, **options).rows)
    return [rows[n : n + 4] for n in range(0, len(rows), 4)]


def test_every_cell_is_its_image_and_classes_differ(tmp_path):
    own = parts(tmp_path, "aabbccddee")
    found = mosaics(tmp_path, own)
    assert len(found) == 2  # of ten images, each once
    used = [row["part"] for rows in found for row in rows]
    assert len(set(used)) == 8
    by_id = {part.id: part for part in own}
    for rows in found:
        assert len({row["image"] for row in rows}) == 1
        assert len({row["target"] for row in rows}) == 4
        pixels = np.array(Image.open(rows[0]["image"]))
        assert pixels.shape == (2 * SIDE, 2 * SIDE, 3)
        for cell, row in enumerate(rows):
            x0, y0, x1, y1 = map(int, row["bbox"].split(","))
            assert (x0, y0) == (cell % 2 * SIDE, cell // 2 * SIDE) and row["cell"] == cell
            n = int(row["part"].split()[1])
            middle = pixels[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3]  # no rim: cut to the square
            assert (middle == (255 - n, n, 100)).all()
            assert row["target"] == by_id[row["part"]].target


def test_with_a_count_images_are_dealt_again_and_evenly(tmp_path):
    own = parts(tmp_path, "abcdefgh")
    found = mosaics(tmp_path, own, count=6)
    used = Counter(row["part"] for rows in found for row in rows)
    assert set(used.values()) == {3} and len(used) == 8
    together = {frozenset(row["part"] for row in rows) for rows in found}
    assert len(together) > 2  # in another order
    fewer = mosaics(tmp_path, own, count=4)
    assert fewer == found[:4]
    assert mosaics(tmp_path, own, count=6, seed=1) != found


def test_a_frequent_class_does_not_starve_the_others(tmp_path):
    own = parts(tmp_path, "bcdefghijaaa")
    found = mosaics(tmp_path, own)
    assert len(found) == 3  # all twelve images, an `a` in each
    assert all("a" in {row["target"] for row in rows} for rows in found)


def test_what_is_there_is_not_made_again_and_names_tell_pictures_apart(tmp_path):
    own = parts(tmp_path, "abcd")
    ((first, *_),) = mosaics(tmp_path, own)
    Path(first["image"]).write_bytes(b"kept")
    ((again, *_),) = mosaics(tmp_path, own)
    assert again["image"] == first["image"] and Path(first["image"]).read_bytes() == b"kept"
    others = [Part(p.id, p.image, p.target.upper()) for p in own]
    assert mosaics(tmp_path, others)[0][0]["image"] != first["image"]
    assert not list(tmp_path.rglob("*.part"))


def test_an_image_stands_in_one_cell_and_mistakes_are_named(tmp_path):
    own = parts(tmp_path, "abcd")
    twice = [*own, Part("again", own[0].image, "e")]
    source = mosaics_source(twice, str(tmp_path / "out"), side=SIDE)
    assert "1 further rows of the same images" in source.notes[1]
    assert "again" not in {row["part"] for row in source.rows}
    with pytest.raises(RequestError, match="images of 3 classes; expected 4 or more"):
        mosaics_source(own[:3], str(tmp_path))
    (tmp_path / "0.png").write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"0\.png: .*leave its row \(image 0\) out"):
        mosaics(tmp_path / "new", own)
