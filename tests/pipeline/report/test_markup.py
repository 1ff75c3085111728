"""Markup: what comes from the data is text."""

from pipeline.report.markup import Markup, element
from pipeline.shapes import write_dataset
from tests.reports import Page, explain

HOSTILE = """</td></script><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;"""
FACTORY = f"""
from pipeline.images import Preprocess
from pipeline.shapes import MEAN, SIZE, STD, load_shapes

def make():
    module = load_shapes()
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = tuple({HOSTILE!r} + str(k) for k in range(10))
    return module
"""


def test_elements_escape_what_is_no_markup():
    made = element("p", "a<b>&\x00", element("b", "'\""), class_='"><', data_x=None, view_box="0")
    assert made == (
        '<p class="&quot;&gt;&lt;" viewBox="0">a&lt;b&gt;&amp;\N{REPLACEMENT CHARACTER}'
        "<b>&#x27;&quot;</b></p>"
    )
    assert isinstance(made, Markup)


def test_what_comes_from_the_data_is_text(tmp_path, monkeypatch, xaipipe):
    (tmp_path / "hostile_factory.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "<img src=x onerror=alert(3)>"
    write_dataset(folder, 2, 0)
    quoted = HOSTILE.replace('"', '""')
    manifest = folder / "hostile.csv"
    images = sorted((folder / "images").iterdir())
    (folder / "images" / "<b>.png").write_bytes(b"no")
    rows = [f'"{quoted}{n}",{image}' for n, image in enumerate(images[:2])]
    manifest.write_text("\n".join(["id,image", *rows, "x\x07,images/<b>.png", ""]))
    out = folder / "o<script>alert(4)<"
    explain(out, manifest, model="python:hostile_factory:make", method="centre")
    assert xaipipe("report", out, "--to", tmp_path / "r.html")[0] == 0
    text = (tmp_path / "r.html").read_text()
    parsed = Page(text)
    assert len(parsed.all("script")) == 1 and not parsed.all("b")
    assert all(image["src"].startswith("data:") for image in parsed.all("img"))
    assert not any(name.startswith("on") for _, a in parsed.elements for name in a)
    assert HOSTILE + "0" in parsed.texts  # the id, whole
    assert any(t.startswith(HOSTILE) for t in parsed.rows("class", "images"))
    assert any(str(manifest) == t for t in parsed.texts)
