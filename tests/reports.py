"""For tests of the report: runs to report, and a page taken apart."""

from html.parser import HTMLParser

from pipeline import Request, load_job
from pipeline.run import driver

AREAS = [0.05, 0.2, 0.4]
IMAGES = 12  # of ten classes
VOID = {"meta", "img"}


def explain(out, manifest, **own):
    common = {"manifest": str(manifest), "model": "builtin:shapes", "workers": 0, "areas": AREAS}
    driver.run(Request(load_job(None, {**common, "out": str(out), **own})), lambda p: None)


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
        start = next(
            n for n in range(len(self.texts)) if tuple(self.texts[n : n + len(head)]) == head
        )
        return self.texts[start + len(head) :]
