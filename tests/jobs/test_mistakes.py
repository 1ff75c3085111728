"""Mistakes that people make: one sentence and the documented exit code, never a traceback."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import read
from pipeline.shapes import write_dataset

ROOT = Path(__file__).parents[2]
FAST = ("--model", "builtin:shapes", "--steps", "2", "--areas", ".2", "--workers", "0")
ODD = "[/red] $(x) 'n"  # markup, and what a shell would read something into
FACTORIES = """
import sys


def broken(what):
    raise what


def value():
    broken(ValueError("no such thing"))


def leaves():
    sys.exit(7)


def surrogate():
    broken(RuntimeError("half a character: \\ud800"))


def unprintable():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    broken(Odd())


def on_images():
    from pipeline import shapes

    class Picky(type(shapes.load_shapes())):
        def forward(self, image):
            if image.abs().max() > 0 and len(self.classes) == 6:
                broken(RuntimeError("[/red] \\ud800 \\x1b[2J"))
            return super().forward(image)

    model = shapes.load_shapes()
    model.__class__, model.classes = Picky, ["\\ud800", "b", "c", "d", "e", "f"]
    return model
"""


@pytest.fixture
def place(here, monkeypatch):
    """A folder with a manifest of two images, factories of classifiers, and wrong files."""
    write_dataset(here / "data", 2, 0)
    (here / "factories.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, "factories", raising=False)
    (here / "list.yaml").write_text("method: [inr]\n")
    (here / "preset.yaml").write_text("preset: [fast]\n")
    (here / "loop.yaml").write_text("objective: &a {game: *a}\n")
    (here / "numbers.yaml").write_text("perturbation: {sigmas: &a [*a]}\n")
    (here / "nul.yaml").write_text('out: "a\\0b"\n')
    (here / "quote.yaml").write_text('out: "a\n')
    dates = pa.array([10**9], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"image": ["a.png"], "day": dates}), here / "dates.parquet")
    return here


def run(*more):
    return ["run", "data/manifest.csv", "--out", "out", *FAST, *more]


def config(name):
    return ["run", "data/manifest.csv", "--config", name, *FAST]


def python(factory):
    return ["run", "data/manifest.csv", "--out", "out", *FAST, "--model", f"python:{factory}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (run("--set", "areas=["), "--set areas=[: not YAML"),
        (config("list.yaml"), "method: ['inr'] is unknown; expected one of inr"),
        (config("preset.yaml"), "preset: ['fast'] is unknown"),
        (config("loop.yaml"), "loop.yaml: a section holds itself"),
        (config("numbers.yaml"), "numbers.yaml: perturbation.sigmas.0: Input should be a valid"),
        (config("nul.yaml"), "nul.yaml: out: holds a NUL character"),
        (config("quote.yaml"), "quote.yaml: not YAML: found unexpected end of stream, line 2"),
        (config("foo://x"), "--config foo://x: cannot be read: ValueError: Protocol not known"),
        (run("--model", "torchscript:foo://x"), "foo://x cannot be read: ValueError: Protocol"),
        (run("--model", "export:foo://x"), "foo://x cannot be read: ValueError: Protocol"),
        (run("--weights", "foo://x", "--model", "python:factories:on_images"), "foo://x: not a"),
        (python("factories:value"), "python:factories:value: ValueError: no such thing; expected"),
        (python("factories:leaves"), "python:factories:leaves: SystemExit: 7; expected"),
        (python("factories:surrogate"), r"half a character: \ud800; expected"),
        (python("factories:unprintable"), "python:factories:unprintable: Odd: ; expected"),
        (python(":"), "expected python:MODULE:FACTORY"),
        (run("--address", ""), "address: String should have at least 1 character"),
        (["run", "dates.parquet", "--out", "out", *FAST], "dates.parquet: a column cannot be read"),
        (["status", "a\0b"], r"'a\x00b': holds a NUL character"),
        (["run", ODD, "--out", "out", *FAST], f"{ODD}: no images in this glob"),
        (["show", "."], "no run here"),
    ],
)
def test_a_wrong_request_is_refused_with_one_sentence(xaipipe, place, arguments, message):
    code, text = xaipipe(*arguments)
    assert message in text and code == 2
    assert "Traceback" not in text and "report it" not in text
    assert not (place / "out").exists()


def test_texts_that_look_like_markup_are_printed_as_they_are(xaipipe, place):
    """In an id, a path, a reason and a class; and what is to be typed next can be pasted."""
    os.renames("data", ODD)
    first, second = sorted(Path(ODD, "images").iterdir())[:2]
    rows = f'id,image\n"{ODD}",images/{first.name}\n-x,images/{second.name}\n'
    Path(ODD, "m.csv").write_text(rows)
    out = f"{ODD} out"
    model = ("--model", "python:factories:on_images")
    code, text = xaipipe("run", f"{ODD}/m.csv", "--out", out, *FAST[2:], *model)
    assert code == 1 and "no image at all could be explained" in text, text
    assert r"2 x explain: RuntimeError: [/red] \ud800 \x1b[2J" in text
    code, text = xaipipe("run", f"{ODD}/m.csv", "--out", out, *FAST, "--overwrite")
    assert code == 0 and f"checking {ODD}/m.csv" in text
    (hint,) = re.findall(r"look at one: (xaipipe show .*)$", text)
    name, command, *arguments = shlex.split(hint)
    assert (name, command) == ("xaipipe", "show")
    assert xaipipe(command, *arguments)[0] == 0
    for command in (["status"], ["show", "--to", "[b]"], ["report"], ["show", "--", out, "-x"]):
        given = command if out in command else [*command, out]
        code, text = xaipipe(*given)
        assert code == 0 and "Traceback" not in text, text
    code, text = xaipipe("show", out, "[/red]")
    assert code == 2 and f"[/red]: no such id in {place}/{out}/images" in text
    code, text = xaipipe("evaluate", out, "--limit", "1")
    assert code == 0 and f"{place}/[/metrics.parquet" in text


def test_ids_that_are_no_names_of_files_are_shown(xaipipe, place):
    names = [".", "..", "x" * 300, "ü" * 100]
    header, first, *_ = Path("data/manifest.csv").read_text().splitlines()
    rows = [header, *(f"{name},{first.partition(',')[2]}" for name in names)]
    Path("data/m.csv").write_text("\n".join(rows) + "\n")
    assert xaipipe("run", "data/m.csv", "--out", "out", *FAST)[0] == 0
    pages = set()
    for name in names:
        code, text = xaipipe("show", "out", name, "--animate")
        assert code == 0, text
        pages |= set(text.split())
    assert len(pages) == 3 * len(names) and all(map(os.path.exists, pages))
    assert not [page for page in pages if os.path.basename(page).startswith(".")]
    assert xaipipe("export", "out", "--to", "png", "--dest", "pngs")[0] == 0


@pytest.mark.parametrize("command", ["show", "report", "evaluate", "export"])
def test_a_damaged_table_is_named(xaipipe, place, shapes_run, command):
    shutil.copytree(shapes_run, "out")
    table = "images" if command == "report" else "masks"
    for file in Path("out", table).glob("s-*"):
        file.write_bytes(b"\x07" * file.stat().st_size)
    id_ = read("out").ids(1) if table == "masks" else []
    more = {"show": id_, "export": ["--to", "csv", "--dest", "csv"]}.get(command, [])
    code, text = xaipipe(command, "out", *more)
    assert code == 1 and "report it" not in text, text
    assert re.search(rf"{place}/out: {table}/s-\w+-\d+\.parquet is damaged", text)
    assert "delete it and repeat `xaipipe run`" in text


def test_the_advice_about_a_damaged_table_works(xaipipe, place):
    assert xaipipe(*run())[0] == 0
    table = next(Path("out/images").glob("s-*"))
    table.write_bytes(b"\x07" * table.stat().st_size)
    assert xaipipe("report", "out")[0] == 1
    table.unlink()
    assert xaipipe(*run())[0] == 0
    assert xaipipe("report", "out")[0] == 0
    assert read("out").images.count_rows() == 2


def test_an_error_that_nobody_expected_goes_to_a_file(xaipipe, place, monkeypatch, tmp_path):
    def fail(*given, **named):
        raise ArithmeticError("at https://me:SECRET@host/x?sig=SECRET [/red]\nand more")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("pipeline.tables.RunTables", fail)
    code, text = xaipipe("status", "out")
    assert code == 1 and "SECRET" not in text and "Traceback" not in text
    assert "error: ArithmeticError: at https://host/x [/red]; this is a mistake of" in text
    (file,) = re.findall(r"traceback, (\S+)$", text)
    written = Path(file).read_text()
    assert file.startswith(str(tmp_path)) and "in fail" in written and "SECRET" not in written
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    code, text = xaipipe("status", "out")
    assert code == 1 and "its traceback could not be written" in text


# What only a process of its own shows


def command(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "jobs", *arguments], env=environment, stderr=-1, **options
    )


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def test_a_locale_without_our_characters(place):
    os.rename("data", "dätä")
    given = ["run", "dätä/manifest.csv", "--out", "öut", *FAST]
    done = command(*given, stdout=-1, env=ASCII)
    assert done.returncode == 0, done.stderr
    assert rb"2 images - builtin:shapes - in this process - \xf6ut" in done.stdout
    done = command("status", "nöwhere", stdout=-1, env=ASCII)
    assert done.returncode == 2 and rb"n\xf6where: no run here" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_and_a_closed_stream(place, shapes_run):
    with open("/dev/full", "w") as full:
        done = command(*run(), stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "error: what was to be printed could not be written: No space left on device"
    ]
    assert read("out").images.count_rows() == 2  # the tables were
    both = f"{shlex.quote(sys.executable)} -m jobs status {shlex.quote(str(shapes_run))}"
    for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            f"{both} {closed}", shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=-1
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_folder_that_ray_cannot_use(place):
    (place / "file").write_text("")
    for folder in (place / "file", "/proc/nothing"):
        given = ["run", "data/manifest.csv", "--out", "out", *FAST[:-1], "1"]
        done = command(*given, stdout=-1, env={"RAY_TMPDIR": str(folder)})
        text = done.stderr.decode()
        assert done.returncode == 1 and "Ray does not start on this machine" in text, text
        assert f"it writes to {folder} (RAY_TMPDIR names another" in text
        assert "Traceback" not in text and not (place / "out").exists()
