"""Files that never end, never answer or are none; as images and as manifests."""

import ast
import os
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from pipeline import ImageError, RequestError, load_job, read
from pipeline.images import read_image, read_values, reading
from pipeline.images.decoding import FORMATS
from pipeline.manifest import Manifest
from pipeline.run import Request, run
from pipeline.shapes import write_dataset
from pipeline.tables import pixels_of

ROOT = Path(__file__).parents[3]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"


class Unkind(BaseHTTPRequestHandler):
    """Answers as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        what = self.path.strip("/").partition(".")[0]
        if what.startswith("code"):
            return self.send_error(int(what[4:]))
        if what == "silent":
            return time.sleep(20)
        self.send_response(200)
        if what == "whole":
            self.send_header("Content-Length", str(len(self.server.picture)))
            self.end_headers()
            return self.wfile.write(self.server.picture)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        while not self.server.ended.wait(0.2 if what == "dripping" else 0):
            try:
                self.wfile.write(b"." if what == "dripping" else bytes(1 << 16))
            except OSError:
                return

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a server that is silent, drips, never ends, refuses, or sends a picture."""
    found = ThreadingHTTPServer(("127.0.0.1", 0), Unkind)
    found.daemon_threads, found.ended = True, threading.Event()
    path = tmp_path_factory.mktemp("picture") / "whole.png"
    Image.new("RGB", (40, 30), "red").save(path)
    found.picture = path.read_bytes()
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.ended.set()
    found.shutdown()
    found.server_close()


@pytest.fixture
def odd(tmp_path):
    """Path of something of each kind."""
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket.png"))
    os.symlink("/dev/zero", tmp_path / "device.png")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "script.jpg").write_bytes(EPS)
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_a_run_has_a_failure_for_each_and_goes_on(odd, server, monkeypatch):
    monkeypatch.setattr(reading, "REMOTE_S", 2.0)
    good = write_dataset(odd / "data", 2, 0).read_text().splitlines()[1:]
    names = ["pipe.png", "socket.png", "device.png", "sparse.png", "script.jpg", "folder.png"]
    names += [f"{server}/{what}.png" for what in ("silent", "dripping", "endless", "code403")]
    names += [f"{server}/whole.png", *(f"data/{line.split(',')[1]}" for line in good)]
    (odd / "m.csv").write_text("image\n" + "\n".join(names) + "\n")
    options = {"manifest": str(odd / "m.csv"), "out": str(odd / "out"), "workers": 0}
    options |= {"model": "builtin:shapes", "steps": 3, "max_image_bytes": "20MB"}
    summary = run(Request(load_job(None, options)), lambda progress: None)
    assert (summary.explained, summary.failed) == (3, 10)
    rows = read(str(odd / "out")).failures.to_table().to_pylist()
    reasons = {row["image"].rpartition("/")[2].partition(".")[0]: row["reason"] for row in rows}
    assert "it is a pipe" in reasons["pipe"]
    assert "it is a socket" in reasons["socket"]
    assert "it is a device" in reasons["device"]
    assert "more than 20000000 bytes" in reasons["sparse"]
    assert "more than 20000000 bytes" in reasons["endless"]
    assert "not come within 2 s" in reasons["silent"]
    assert "not come within 2 s" in reasons["dripping"]
    assert "not an image of a known format (JPEG, PNG, WEBP" in reasons["script"]
    assert "Forbidden" in reasons["code403"] or "403" in reasons["code403"]


def test_no_program_is_run_for_a_script_that_is_called_a_picture(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "a.jpg").write_bytes(EPS)
    with pytest.raises(ImageError, match="known format"):
        read_image(str(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "a.jpg") as image:  # as it would be, if every format were taken
        assert image.format == "EPS"
        with pytest.raises(OSError):
            image.load()
    assert (tmp_path / "was-run").exists()
    (tmp_path / "was-run").unlink()
    with pytest.raises(ImageError):
        read_image(str(tmp_path / "a.jpg"))
    assert not (tmp_path / "was-run").exists()


def test_a_mask_that_is_a_script_is_not_run_either(tmp_path):
    (tmp_path / "mask.png").write_bytes(EPS)
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_values(str(tmp_path / "mask.png"))
    with pytest.raises(UnidentifiedImageError):
        pixels_of(EPS)


def test_every_picture_in_the_source_is_opened_with_its_formats():
    calls = [
        (str(path), node.lineno, {keyword.arg for keyword in node.keywords})
        for package in ("inr_core", "pipeline", "jobs")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open")
    ]
    assert calls
    assert [call[:2] for call in calls if "formats" not in call[2]] == []


def test_the_readme_lists_the_formats():
    (sentence,) = re.findall(r"Images are (.*?) by their content", (ROOT / "README.md").read_text())
    named = re.findall(r"[A-Z]\w+", sentence.upper())
    assert {name for name in named if name in Image.OPEN} == set(FORMATS)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO"])
def test_every_promised_format_is_read(tmp_path, format_):
    picture = Image.new("RGB", (20, 10), "red")
    more = {"save_all": True, "append_images": [picture]} if format_ == "MPO" else {}
    picture.save(tmp_path / "a", format_, **more)
    assert read_image(str(tmp_path / "a")).size == (20, 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe.csv", "is a pipe; a manifest is read twice"),
        ("device.csv", "is a device"),
        ("sparse.csv", "a line has more than"),
        ("SERVER/code401.csv", "the server refuses it (401 Unauthorized)"),
        ("SERVER/code403.csv.gz", "the server refuses it (403 Forbidden)"),
        ("SERVER/code403", "the server refuses it (403 Forbidden)"),
        ("SERVER/code500.parquet", "the server fails (500 Internal Server Error)"),
        ("SERVER/code404.csv", "there is no such file"),
        ("SERVER/silent.csv", "cannot be opened"),
        ("http://127.0.0.1:9/m.csv", "Cannot connect"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(tmp_path, server, monkeypatch, name, message):
    monkeypatch.setattr("pipeline.manifest.stores.SILENT_S", 1.0)
    monkeypatch.setattr("pipeline.manifest.stores.TOTAL_S", 3.0)
    os.mkfifo(tmp_path / "pipe.csv")
    os.symlink("/dev/zero", tmp_path / "device.csv")
    with open(tmp_path / "sparse.csv", "wb") as file:
        file.truncate(1 << 40)
    uri = name.replace("SERVER", server) if ":" in name or "SERVER" in name else tmp_path / name
    with pytest.raises(RequestError) as error:
        Manifest(str(uri)).check()
    assert message in str(error.value)
