"""The gallery: every stored mask, and a list of what cannot be drawn."""

import base64
import io
from pathlib import Path

from PIL import Image

import pipeline
from pipeline.report.examples import SIDE
from pipeline.shapes import write_dataset
from tests.reports import AREAS, IMAGES, Page, explain


def test_the_gallery_has_every_stored_mask_of_the_best_restarts(page, runs):
    reader, parsed = pipeline.read(str(runs / "ours")), Page(page)
    images = parsed.all("img")
    assert len({image["src"] for image in images}) == len(images)
    for id_ in reader.ids(IMAGES):
        assert sum(image["alt"] == f"{id_}, the image" for image in images) == 1
        best = [(e["restart"], e["round"]) for e in reader.rows("explanations", id_) if e["best"]]
        masks = [m for m in reader.rows("masks", id_) if (m["restart"], m["round"]) in best]
        wanted = {
            f"{id_}, mask of {100 * m['area']:g}\xa0%, round {m['round']}: kept "
            f"{m['score_kept']:.2f}, removed {m['score_removed']:.2f}"
            for m in masks
        }
        assert {i["alt"] for i in images if i["alt"].startswith(f"{id_}, mask")} == wanted
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        picture = Image.open(io.BytesIO(data))
        assert picture.format == "JPEG" and max(picture.size) == SIDE
        assert picture.size == (int(image["width"]), int(image["height"]))


def test_images_that_cannot_be_drawn_are_listed(runs, xaipipe, tmp_path):
    data = tmp_path / "data"
    manifest = write_dataset(data, 3, 1)
    explain(tmp_path / "out", manifest, method="centre")
    reader = pipeline.read(str(tmp_path / "out"))
    gone, small, _ = (reader.image(id_)["image"] for id_ in reader.ids(3))
    Path(gone).unlink()
    Image.new("RGB", (40, 30)).save(small)
    code, text = xaipipe("report", tmp_path / "out", "--images", 3)
    assert code == 0 and "out.html" in text
    parsed = Page((tmp_path / "out.html").read_text())
    assert "2 of the chosen images cannot be drawn any more:" in parsed.texts
    assert len(parsed.all("img")) == 1 + len(AREAS)
    reasons = " ".join(parsed.texts)
    assert gone in reasons and "128 x 128" in reasons
