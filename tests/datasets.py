"""For tests of `xaipipe manifest`: what it writes or refuses, and an image to find."""

import os

from PIL import Image

from pipeline.manifest.manifest import Manifest


def picture(path, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 90, 30)).save(path)


def written(xaipipe, *arguments, to="manifest.csv", **options):
    """The images of the manifest that a command writes, and what it prints."""
    code, text = xaipipe("manifest", *arguments)
    assert code == 0, text
    assert f"next: xaipipe run {to} --model " in text
    manifest = Manifest(to, **options)
    summary = manifest.check()
    refs = list(manifest)
    assert f"{to}: {summary.images} rows, " in text
    assert all(os.path.isfile(ref.image) for ref in refs)
    return refs, text


def refused(xaipipe, *arguments):
    before = sorted(os.listdir("."))
    code, text = xaipipe("manifest", *arguments)
    assert code == 2, text
    assert "Traceback" not in text
    assert sorted(os.listdir(".")) == before
    return text
