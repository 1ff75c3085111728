"""A run of an earlier schema version is refused by one sentence, wherever it is met."""

import json

import pytest

import pipeline
from pipeline.shapes import write_dataset


@pytest.fixture
def old(tmp_path, xaipipe):
    """A finished run whose fingerprint says that it is of schema version 1; its manifest."""
    manifest = write_dataset(tmp_path / "data", 1, 0)
    assert xaipipe(*command(manifest, tmp_path))[0] == 0
    fingerprint = tmp_path / "out" / "_run" / "fingerprint.json"
    content = json.loads(fingerprint.read_text())
    assert content["schema_version"] == 2
    fingerprint.write_text(json.dumps({**content, "schema_version": 1}))
    return manifest


def command(manifest, folder):
    return [
        *("run", manifest, "--out", folder / "out", "--model", "builtin:shapes"),
        *("--workers", 0, "--steps", 2),
    ]


def test_it_is_refused_and_can_be_overwritten(old, tmp_path, xaipipe):
    out = tmp_path / "out"
    again = command(old, tmp_path)
    for arguments in (
        again,
        ["plan", *again[1:]],
        ["status", out],
        ["show", out, "x"],
        ["report", out],
    ):
        code, printed = xaipipe(*arguments)
        assert code == 2, printed
        assert f"{out}: holds a run of schema version 1, expected 2" in printed
        assert "--overwrite" in printed and "Traceback" not in printed
    assert xaipipe(*again, "--overwrite")[0] == 0
    assert xaipipe("status", out)[0] == 0


def test_networks_from_before_there_was_a_choice_are_conditioned(tmp_path, xaipipe):
    """Their settings do not say so; they must render as they did."""
    manifest, out = write_dataset(tmp_path / "data", 1, 0), tmp_path / "out"
    code, text = xaipipe(*command(manifest, tmp_path), "--set", "mask.network.conditioned=true")
    assert code == 0, text
    run = pipeline.read(str(out))
    id_ = run.images.to_table(columns=["id"])["id"][0].as_py()
    expected = run.render(id_, 0.15)
    fingerprint = out / "_run" / "fingerprint.json"
    content = json.loads(fingerprint.read_text())
    assert content["mask"]["network"].pop("conditioned")
    fingerprint.write_text(json.dumps(content))
    assert (pipeline.read(str(out)).render(id_, 0.15) == expected).all()
    assert (run.stored_mask(id_, 0.1) == run.render(id_, 0.1)).all()
