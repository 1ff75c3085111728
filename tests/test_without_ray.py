"""What works where Ray is not installed: everything but workers on Ray."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HIDDEN = """
import json
import sys
from jobs.cli import main


class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "ray" or name.startswith("ray."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hide())
for command in json.loads(sys.argv[1]):
    sys.argv = ["xaipipe", *command]
    try:
        main()
    except SystemExit as end:
        if end.code:
            print("failed:", *command)
            raise
"""


def xaipipe(folder: Path, *commands: list[str]) -> tuple[int, str]:
    """Commands, one after the other in one process, up to the first that fails."""
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_run_is_made_evaluated_shown_and_reported(tmp_path: Path) -> None:
    job = ["--model", "builtin:shapes", "--steps", "3", "--areas", ".1"]
    code, text = xaipipe(
        tmp_path,
        ["demo", "--to", ".", "--images", "2", "--workers", "0"],
        ["plan", "data/manifest.csv", "--model", "builtin:shapes", "--workers", "0"],
        ["run", "data/manifest.csv", *job, "--workers", "0", "--out", "other"],
        ["status", "other"],
        ["evaluate", "out", "--limit", "1"],
        ["show", "out", "shapes-00000"],
        ["report", "out", "--to", "out.html"],
        ["benchmark", *job, "--workers", "0", "--images", "1", "--repeats", "1"],
    )
    assert code == 0 and "Traceback" not in text, text


def test_workers_on_ray_say_what_is_missing(tmp_path: Path) -> None:
    job = ["--model", "builtin:shapes", "--workers", "1", "--out", "out"]
    code, text = xaipipe(tmp_path, ["run", "photos", *job])
    assert code == 2 and "pip install" in text and "--workers 0" in text
    assert "Traceback" not in text and not (tmp_path / "out").exists()
