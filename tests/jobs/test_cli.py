"""The commands as a person meets them: output, exit codes, errors without tracebacks."""

import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from jobs.console import Console
from jobs.progress import clock, progress, rest
from pipeline import Progress, read
from pipeline.shapes import write_dataset

FAST = ["--model", "builtin:shapes", "--steps", "3", "--areas", ".1,.3", "--workers", "0"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("shapes"), 3, 0))


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "plan",
        "submit",
        "status",
        "show",
        "compare",
        "config",
        "evaluate",
        "report",
        "benchmark",
        "simulate",
        "manifest",
        "demo",
    ],
)
def test_every_command_has_a_help_text(xaipipe, command):
    code, text = xaipipe(command, "--help")
    assert code == 0
    assert len(text) > 200


def test_run_status_plan_and_show_of_one_dataset(xaipipe, manifest, tmp_path):
    out = tmp_path / "out"
    code, text = xaipipe("plan", manifest, "--out", out, *FAST)
    assert code == 0 and "to explain 3" in text and "passes per image 20" in text
    assert not out.exists()
    code, text = xaipipe("run", manifest, "--out", out, *FAST, "--limit", 2)
    assert code == 0 and "explained 2 images" in text and "2 of 2 images" in text
    code, text = xaipipe("plan", manifest, "--out", out, *FAST)
    assert code == 0 and "done already 2" in text and "to explain 1" in text
    assert "from 2 images explained so far" in text
    code, text = xaipipe("status", out)
    assert code == 0 and "2 explained, 0 failed, 0 to go" in text and "finished" in text
    id_ = read(str(out)).ids(1)[0]
    code, text = xaipipe("show", out, id_, "--to", tmp_path / "pictures")
    assert code == 0
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == [
        f"{id_}.png",
        f"{id_}_restart0_round0_area0.1.png",
        f"{id_}_restart0_round0_area0.3.png",
    ]
    code, text = xaipipe("show", out, "nobody")
    assert code == 2 and "no such id" in text and id_ in text


def test_bad_images_fail_alone_with_their_reasons(xaipipe, manifest, tmp_path):
    good = Image.open(io.BytesIO(_first_image(manifest)))
    good.save(tmp_path / "good.png")
    good.save(tmp_path / "whole.jpg", quality=90)
    (tmp_path / "truncated.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("these are words")
    good.convert("L").save(tmp_path / "grey.png")
    good.convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.new("RGB", (1, 1), (9, 9, 9)).save(tmp_path / "dot.png")
    names = ["good.png", "gone.jpg", "truncated.jpg", "text.jpg", "dot.png", "grey.png", "cmyk.jpg"]
    (tmp_path / "m.csv").write_text("image\n" + "\n".join(names) + "\n")
    code, text = xaipipe("run", tmp_path / "m.csv", "--out", tmp_path / "out", *FAST)
    assert code == 3
    assert "explained 4 images" in text and "3 failed" in text
    rows = read(str(tmp_path / "out")).failures.to_table().to_pylist()
    found = {os.path.basename(r["image"]): r["stage"] for r in rows}
    assert found == {"gone.jpg": "read", "truncated.jpg": "decode", "text.jpg": "decode"}


def test_a_wrong_request_is_refused_with_line_numbers_before_anything_starts(
    xaipipe, manifest, tmp_path
):
    (tmp_path / "m.csv").write_text(
        "id,image,target\na,x.png,0\na,y.png,1\nb,z.png,77\n,w.png,1\nc,,2\nd,v.png,zebra\n"
    )
    code, text = xaipipe("run", tmp_path / "m.csv", "--out", tmp_path / "out", *FAST)
    assert code == 2
    for line in ("line 3", "line 4", "line 5", "line 6", "line 7"):
        assert line in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "MANIFEST", "--model", "builtin:shapes"], "give --out"),
        (["run", "MANIFEST", "--out", "OUT"], "no classifier"),
        (["run", "--out", "OUT", *FAST], "no manifest"),
        (["run", "nowhere.csv", "--out", "OUT", *FAST], "nowhere.csv"),
        (["run", "MANIFEST", "--out", "OUT", *FAST, "--set", "optimise.step=3"], "did you mean"),
        (["run", "MANIFEST", "--out", "OUT", *FAST, "--set", "steps"], "expected NAME=VALUE"),
        (["run", "MANIFEST", "--out", "OUT", *FAST, "--select", "split"], "COLUMN=VALUE"),
        (["run", "MANIFEST", "--out", "OUT", *FAST, "--areas", "a"], "expected fractions"),
        (["run", "MANIFEST", "--out", "OUT", *FAST, "--gpus", "99"], "give one of the two"),
        (["run", "MANIFEST", "--out", "OUT", *FAST[:-2], "--gpus", "99"], "this machine has"),
        (["run", "MANIFEST", "--no-such-flag"], "No such option"),
        (["status", "OUT"], "no run here"),
        (["show", "OUT", "x"], "no run here"),
        (["submit", "MANIFEST", "--out", "OUT", *FAST], "give the cluster's address"),
        (
            ["submit", "MANIFEST", "--out", "OUT", *FAST, "--address", "http://127.0.0.1:9"],
            "no Ray cluster answers",
        ),
    ],
)
def test_user_errors_exit_with_2_and_a_sentence(xaipipe, manifest, tmp_path, arguments, message):
    fill = {"MANIFEST": manifest, "OUT": tmp_path / "out"}
    code, text = xaipipe(*[fill.get(a, a) for a in arguments])
    assert code == 2, text
    assert message in text
    assert "Traceback" not in text


def test_a_job_file_and_flags(xaipipe, manifest, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(
        f"manifest: {manifest}\nout: {tmp_path}/out\nmodel: builtin:shapes\nsteps: 3\n"
        "areas: [.1]\nworkers: 0\nlimit: 3\nrestarts: 2\n"
    )
    code, _ = xaipipe("run", "--config", job, "--limit", 1)
    assert code == 0
    reader = read(f"{tmp_path}/out")
    assert reader.explanations.count_rows() == 2
    assert reader.config.areas == (0.1,)


def test_the_installed_command_answers():
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "--help"], capture_output=True, text=True, check=True
    )
    assert "xaipipe demo" in done.stdout


def _progress(explained, failed=0, **more):
    counts = {"images": 10, "done_before": 2, "explained": explained, "failed": failed}
    return Progress(**counts, seconds=400.0, workers=2, **more)


def test_progress_texts():
    assert rest(_progress(0)) == "waiting for 2 workers"
    assert rest(_progress(0, ready=1)) == "first shards under way, 1 of 2 workers ready"
    assert rest(_progress(0, ready=2)) == "first shards under way"
    after = _progress(3, failed=1, ready=2, images_per_s=1.0)
    assert rest(after) == "1 failed · 1.00 images/s · 0:04 left"
    assert clock(3725) == "1:02:05"
    assert clock(59.6) == "1:00"


def test_a_bar_on_a_terminal_and_plain_lines_elsewhere():
    for terminal in (True, False):
        sink = io.StringIO()
        console = Console(file=sink, force_terminal=terminal, width=100)
        with progress(console) as report:
            report(_progress(0))
            report(_progress(8))
        text = sink.getvalue()
        assert ("\x1b[" in text) == terminal
        assert ("2 of 10 images" in text) == (not terminal)
        assert ("10/10" in text) == terminal


def _first_image(manifest):
    folder = os.path.join(os.path.dirname(manifest), "images")
    with open(os.path.join(folder, sorted(os.listdir(folder))[0]), "rb") as stream:
        return stream.read()
