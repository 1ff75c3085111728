"""No user name, password, signature or token of a URL stands in anything that is written."""

import functools
import io
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import ImageError, RequestError, RunError, read
from pipeline.errors import describe
from pipeline.paths import all_redacted, redacted
from pipeline.shapes import write_dataset

FAST = ("--model", "builtin:shapes", "--steps", "2", "--areas", ".2", "--workers", "0")
SIGNED = "X-Amz-Credential=SECRET&X-Amz-Signature=SECRET"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("https://me:SECRET@host/x.png?sig=SECRET&sv=2&v=1", "https://host/x.png?v=1"),
        ("https://host/x?AWSAccessKeyId=SECRET&Signature=SECRET&Expires=1", "https://host/x"),
        ("no https://host/a b.png?token=SECRET: 403", "no https://host/a b.png: 403"),
        ("failed with url: /x.png?a=1&api_key=SECRET (", "failed with url: /x.png?a=1 ("),
        ("URL('https://me:SE/CRET@host:80/x')", "URL('https://host:80/x')"),
        ("https://me:a@SECRET@host/x", "https://host/x"),
        ("ftp://SECRET@host/x", "ftp://host/x"),
        ("simplecache::https://me:SECRET@host/z", "simplecache::https://host/z"),
        ("zip://a.png::https://me:SECRET@host/z", "zip://a.png::https://host/z"),
        (
            "https://h/get?url=https://me:SECRET@host/x&jwt=SECRET",
            "https://h/get?url=https://host/x",
        ),
        ("https://host/x?%73ig=SECRET", "https://host/x"),
        ("https://host/x#access_token=SECRET", "https://host/x"),
        ("https://host?key=AIzaSECRET&id=3", "https://host?id=3"),
        ("torchscript:https://me:SECRET@host/m.pt", "torchscript:https://host/m.pt"),
        *((same, same) for same in ("a?token=1.png", "abfs://box@account/x", "https://h/@me/x")),
        *((same, same) for same in ("http://[::1]:80/x", "s3://b/k?versionId=3", "a://b me@home")),
    ],
)
def test_what_is_left_names_the_same_thing(text, without):
    assert redacted(text) == redacted(without) == without


def test_data_and_errors_are_without_them():
    url = "https://me:SECRET@host/x?sig=SECRET"
    found = all_redacted({url: [url, (url, 1)], "n": None})
    assert found == {"https://host/x": ["https://host/x", ("https://host/x", 1)], "n": None}
    for error in (RequestError(url), RunError(url), ImageError("read", url)):
        assert "SECRET" not in f"{error} {error!r}"
    assert describe(OSError(url)) == "OSError: https://host/x"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(here):
    """URL of the folder `data`, with a manifest of images behind signed URLs."""
    write_dataset(here / "data", 2, 0)
    handler = functools.partial(Quiet, directory=str(here / "data"))
    found = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"me:SECRET@127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def manifest(server, signed, name="m.csv"):
    """Rows of URLs: two images, one that is not there, and a further column with one."""
    rows = ["image,mask,page", *(_row(server, n, signed) for n in ("00000", "00001", "gone"))]
    Path("data", name).write_text("\n".join(rows) + "\n")
    return f"http://{server}/{name}?{signed}"


def _row(server, number, signed):
    url = f"http://{server}/%s/shapes-{number}.png?{signed}"
    return f"{url % 'images'},{url % 'masks'},see https://{server}/p?token=SECRET&id={number}"


def written(folder):
    """Content of all files, with all cells of the tables."""
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.name != "m.csv":
            data = path.read_bytes()
            yield path, data
            if path.suffix == ".parquet":
                yield path, repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode()


@pytest.mark.slow
def test_a_run_and_all_that_is_made_of_it(xaipipe, server, here):
    def command(*given, expected=0):
        code, text = xaipipe(*given)
        assert code == expected and "SECRET" not in text, text
        return text

    job = [manifest(server, SIGNED), *FAST, "--root", f"http://{server}/?{SIGNED}"]
    command("plan", *job, "--out", "out")
    text = command("run", *job, "--out", "out", expected=3)
    host = server.rpartition("@")[2]
    assert f"checking http://{host}/m.csv" in text and "explained 2 images" in text
    reader = read("out")
    row = reader.images.to_table().to_pylist()[0]
    assert row["image"] == f"http://{host}/images/shapes-00000.png"
    assert row["mask"] == f"http://{host}/masks/shapes-00000.png"
    assert row["page"] == f"see https://{host}/p?id=00000"
    (failed,) = reader.failures.to_table().to_pylist()
    assert failed["image"] == f"http://{host}/images/shapes-gone.png"
    # another signature, and another user: the same images
    again = [manifest(server.replace("me", "you"), "sig=SECRET2&sv=1"), *job[1:-2]]
    assert "2 were done before, 1 failed before" in command(
        "run", *again, "--out", "out", expected=3
    )
    command("run", *again, "--out", "out", "--changed", "explain", expected=3)
    assert reader.ids(9) == read("out").ids(9)
    # what is made of it
    base = f"http://{server}/none.csv?{SIGNED}"
    command("evaluate", "out")
    command("report", "out", "--metrics", "metrics.parquet")
    command("show", "out", "--root", f"http://{server}/?{SIGNED}", expected=2)
    command("show", "out")
    command("compare", "out", "--against", "out/")
    for kind in ("coco", "png", "hf", "csv", "fiftyone"):
        command("export", "out", "--to", kind, "--dest", f"as-{kind}")
    command("status", "out")
    command("run", f"{base}&a=1", "--out", "other", *FAST, expected=2)
    command("run", job[0], "--out", "out", *FAST, "--seed", "3", expected=2)
    command("run", job[0], "--out", "x", *FAST, "--weights", f"{base}&w.pth", expected=2)
    command("run", job[0], "--out", "x", "--model", f"export:http://{server}/no.pt2", expected=2)
    command("models", "check", "builtin:shapes", "--image", f"http://{server}/no.png", expected=2)
    seen = [path for path, _ in written(here)]
    assert {"report.html", "out.html"} & {path.name for path in seen} and len(seen) > 40
    assert [path for path, data in written(here) if b"SECRET" in data] == []


def test_an_output_behind_a_url_with_a_password(xaipipe, server, here):
    import fsspec

    out = "memory://me:SECRET@bucket/out"
    code, text = xaipipe("run", manifest(server, SIGNED), "--out", out, *FAST)
    assert code == 3 and "SECRET" not in text and "memory://bucket/out" in text
    for command in ("status", "report", "show"):
        code, text = xaipipe(command, out)
        assert code == 0 and "SECRET" not in text, text
    files = fsspec.filesystem("memory").store.values()
    assert files and not any(b"SECRET" in file.getvalue() for file in files)
    assert b"SECRET" not in Path("report.html").read_bytes()
