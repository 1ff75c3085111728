"""What is printed to be copied works: the examples of every command's help, and the next steps."""

import inspect
import os
import re
import shlex

import pytest
import typer

from jobs import app

COMMANDS = typer.main.get_command(app.app).commands
AFTER_DEMO = "xaipipe-demo/"


def examples(command):
    """Command lines in the help text of a command."""
    text = inspect.getdoc(COMMANDS[command].callback) or ""
    lines = re.findall(r"^(?:\s*|Example: )(xaipipe .*?)\.?$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command):
    own = COMMANDS[command]
    for one in (own, *getattr(own, "commands", {}).values()):
        assert [p.name for p in one.params if p.name != "help" and not p.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_it_takes(command):
    found = [arguments for arguments in examples(command) if arguments[0] == command]
    assert found
    for _, *arguments in found:
        COMMANDS[command].make_context(command, arguments)  # exits where an option is unknown


@pytest.mark.slow
@pytest.mark.long
def test_the_examples_on_the_demo_work_after_the_demo(xaipipe, here):
    code, text = xaipipe("demo", "--workers", 0)
    assert code == 0, text
    ran = []
    for command in sorted(COMMANDS):
        for arguments in examples(command):
            if any(AFTER_DEMO in argument for argument in arguments) or "centre" in arguments:
                code, text = xaipipe(*arguments)
                assert code == 0, (arguments, text)
                ran.append(arguments[0])
    assert {"run", "plan", "status", "show", "compare", "evaluate", "report", "export"} <= set(ran)


def test_xaipipe_alone_says_what_to_do_next(xaipipe, here, shapes_run):
    code, text = xaipipe()
    assert code == 0 and "xaipipe demo" in text and "xaipipe run photos/" in text
    (here / "my list.csv").write_text("image\n")
    os.symlink(shapes_run, "out")
    code, text = xaipipe()
    assert code == 0 and "xaipipe demo" not in text
    assert "xaipipe report out" in text and "xaipipe plan 'my list.csv' --model" in text


def test_help_is_still_there(xaipipe):
    code, text = xaipipe("--help")
    assert code == 0 and all(command in text for command in COMMANDS)
