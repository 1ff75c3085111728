"""Patterns for several files: written out as a shell does."""

import shutil
import subprocess

import pytest

from pipeline.errors import RequestError
from pipeline.manifest.patterns import expanded


@pytest.mark.parametrize(
    "text",
    [
        "a.tar",
        "s/{000..011}.tar",
        "s/{8..11}.tar",
        "{a,b}/{0..2}.tar",
        "x{a,,b}y",
        "{098..101}",
        "{a}{0..1}",
        "{}",
        "{0..1}{",
    ],
)
def test_as_a_shell_does(text):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    shell = subprocess.run([bash, "-c", f"printf '%s\\n' {text}"], capture_output=True, text=True)
    assert expanded(text) == shell.stdout.splitlines()


def test_too_many_are_refused():
    for text in ("{0..99999999}.tar", "{0..9999}{0..9999}.tar"):
        with pytest.raises(RequestError, match="stands for more than"):
            expanded(text)
