"""Exit codes as long as failures stand."""

import pyarrow.parquet as pq

from pipeline.shapes import write_dataset

FAST = ["--model", "builtin:shapes", "--steps", "2", "--areas", ".1", "--workers", "0"]


def broken(folder, count):
    """A dataset of three images, of which so many are no pictures; its manifest and contents."""
    manifest = write_dataset(folder, 3, 0)
    contents = {}
    for image in sorted((folder / "images").iterdir())[:count]:
        contents[image] = image.read_bytes()
        image.write_text("no picture")
    return manifest, contents


def test_failures_stand_until_they_are_mended(xaipipe, tmp_path):
    manifest, contents = broken(tmp_path / "data", 1)
    command = ["run", manifest, "--out", tmp_path / "out", *FAST]
    code, text = xaipipe(*command)
    assert code == 3 and "explained 2 images" in text and ", 1 failed 1 x decode" in text
    code, text = xaipipe(*command)  # nothing is left to do
    assert code == 3 and "2 were done before, 1 failed before 1 x decode" in text
    assert "--retry-failed" in text
    assert xaipipe(*command, "--accept-failures")[0] == 0
    code, text = xaipipe(*command, "--retry-failed")
    assert code == 3 and "2 were done before, 1 failed 1 x decode" in text
    for image, content in contents.items():
        image.write_bytes(content)
    code, text = xaipipe(*command, "--retry-failed")
    assert code == 0 and "explained 1 images" in text and "failed" not in text
    assert xaipipe(*command)[0] == 0


def test_failures_outside_the_manifest_do_not_count(xaipipe, tmp_path):
    manifest, _ = broken(tmp_path / "data", 1)
    command = ["run", manifest, "--out", tmp_path / "out", *FAST]
    assert xaipipe(*command)[0] == 3
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([lines[0], *lines[2:]]))
    assert xaipipe(*command)[0] == 0


def test_nothing_explained_at_all_is_an_error_with_the_reason(xaipipe, tmp_path):
    manifest, _ = broken(tmp_path / "data", 3)
    command = ["run", manifest, "--out", tmp_path / "out", *FAST]
    for again in ([], [], ["--retry-failed"], ["--accept-failures"]):
        code, text = xaipipe(*command, *again)
        assert code == 1 and "no image at all could be explained; 3 of them: decode: " in text
        assert "Traceback" not in text
    code, text = xaipipe(*command, "--retry-failed", "--max-failures", 2, "--shard-size", 1)
    assert code == 1 and "2 images in a row have failed, 0 were explained; most often" in text
    assert xaipipe(*command, "--max-failures", "-1")[0] == 2


def test_changed_rows_exit_with_2(xaipipe, tmp_path):
    manifest, _ = broken(tmp_path / "data", 0)
    out = tmp_path / "out"
    command = ["run", manifest, "--out", out, *FAST]
    assert xaipipe(*command)[0] == 0
    text = manifest.read_text()
    first, second = (line.split(",")[1] for line in text.splitlines()[1:3])
    manifest.write_text(text.replace(first, second, 1))
    for task in ("run", "plan"):
        code, printed = xaipipe(task, *command[1:])
        assert code == 2 and "1 id stands for another image" in printed and "--changed" in printed
    assert xaipipe(*command, "--changed", "keep")[0] == 0
    code, printed = xaipipe(*command, "--changed", "explain")
    assert code == 0 and "explained 1 images" in printed
    code, printed = xaipipe(*command, "--changed", "maybe")
    assert code == 2 and "changed" in printed and "'explain' or 'keep'" in printed


def test_status_tells_of_tables_that_are_missing(xaipipe, tmp_path):
    manifest, _ = broken(tmp_path / "data", 0)
    out = tmp_path / "out"
    command = ["run", manifest, "--out", out, *FAST, "--shard-size", 2]
    assert xaipipe(*command)[0] == 0
    assert "missing" not in xaipipe("status", out)[1]
    max((out / "masks").glob("s-*"), key=lambda file: pq.read_table(file).num_rows).unlink()
    code, text = xaipipe("status", out)
    assert code == 0 and "1 explained, 0 failed, 2 to go" in text
    assert "missing tables of 2 images; run again to explain them" in text
    code, text = xaipipe(*command)
    assert code == 0 and "explained 2 images" in text and "1 were done before" in text
