"""For tests of the report: runs to report, and a page taken apart."""

import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline import Request, load_job, results
from pipeline.run import driver

AREAS = [0.05, 0.2, 0.4]
IMAGES = 12  # of ten classes
VOID = {"meta", "img", "input"}
CHROMIUM = "/usr/bin/chromium"
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()

HOSTILE = """</td></script><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;{{7*7}}"""
FACTORY = f"""
from pipeline.images import Preprocess
from pipeline.shapes import MEAN, SIZE, STD, load_shapes

def make():
    module = load_shapes()
    module.preprocess = Preprocess(resize=SIZE, crop=SIZE, mean=MEAN, std=STD)
    module.classes = tuple({HOSTILE!r} + str(k) for k in range(10))
    return module
"""


def explain(out, manifest, **own):
    common = {"manifest": str(manifest), "model": "builtin:shapes", "workers": 0, "areas": AREAS}
    driver.run(Request(load_job(None, {**common, "out": str(out), **own})), lambda p: None)


def write_metrics(uri, rows):
    """A file as `xaipipe evaluate` writes it."""
    results.write_table(uri, pa.Table.from_pylist(rows, results.SCHEMA))


class Page(HTMLParser):
    """Elements in order with their attributes, and the texts; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag, class_=None):
        found = [a for t, a in self.elements if t == tag]
        return [a for a in found if class_ in (None, a.get("class"))]

    def rows(self, *head):
        """Cells of the table with this head, from the texts after it."""
        texts = [text for text in self.texts if text.strip()]
        start = next(n for n in range(len(texts)) if tuple(texts[n : n + len(head)]) == head)
        return texts[start + len(head) :]

    def data(self):
        """What the page's script works with."""
        return next(json.loads(text) for text in self.texts if text.startswith('{"area"'))


def picture(uri):
    """The picture in a data URI."""
    head, _, data = uri.partition(",")
    assert head in ("data:image/jpeg;base64", "data:image/webp;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def masks_in(shown, cell=64):
    """Masks (A, 64, 64) of an explanation's strip."""
    pixels = np.array(picture(shown["strip"]).convert("L"))
    assert pixels.shape == (cell, cell * len(shown["areas"]))
    return np.stack(np.split(pixels, len(shown["areas"]), axis=1))
