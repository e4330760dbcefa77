"""The mechanism of the command line; what wrong arguments get: tests/commands/test_messages.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

import cyclegan_hub
from cyclegan_hub import cli
from cyclegan_hub.cli import COMMANDS, main
from cyclegan_hub.command_line import make_parser, run_command
from cyclegan_hub.errors import UserError, exit_code, files_explained
from support.training import ROOT


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["train", "--help"]], ids=" ".join)
def test_what_is_asked_of_the_parser_ends_with_0(capsys: pytest.CaptureFixture, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert (
        printed == f"cyclegan-hub {cyclegan_hub.__version__}\n"
        if arguments == ["--version"]
        else "usage: cyclegan-hub" in printed
    )


ALIASES = [
    ("train", "--inexact-resume", [], "allow_process_change", True),
    ("evaluate", "--images", ["7"], "max_held_out", 7),
    ("evaluate", "--training", ["8"], "max_train_images", 8),
]


@pytest.mark.parametrize(("command", "old", "value", "name", "expected"), ALIASES)
def test_earlier_names_of_options_still_work_and_are_hidden(
    command: str, old: str, value: list[str], name: str, expected: object
) -> None:
    parser = make_parser(COMMANDS[command].module)
    new = f"--{name.replace('_', '-')}"
    assert f"{old} " not in parser.format_help() and new in parser.format_help()
    for option in (old, new):
        assert getattr(parser.parse_args(["x", option, *value]), name) == expected
    assert getattr(parser.parse_args(["x"]), name) not in (None, expected)


def planted(monkeypatch: pytest.MonkeyPatch, run: Callable[[object], int], **more: object) -> str:
    """The name of a module that is a command."""
    module = ModuleType("planted_command")
    vars(module).update(add_arguments=lambda parser: None, run=run, **more)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def missing(_: object) -> int:
    raise ModuleNotFoundError("No module named 'onnxscript.x'", name="onnxscript.x")


def ours(_: object) -> int:
    raise ModuleNotFoundError("No module named 'cyclegan_hub.gone'", name="cyclegan_hub.gone")


def interrupted(_: object) -> int:
    raise KeyboardInterrupt


def full(_: object) -> int:
    raise OSError(28, "No space left on device", "out.zip")


@pytest.mark.parametrize(
    ("run", "code", "line"),
    [
        (missing, 2, "error: onnxscript.x is not installed: pip install 'cyclegan_hub[export]'"),
        (full, 2, "error: out.zip: No space left on device: check the path, permissions and free space"),
        (interrupted, 130, "stopped: nothing was written"),
        (lambda _: 7, 7, ""),
    ],
)
def test_how_a_command_may_end(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, run: Callable[[object], int], code: int, line: str
) -> None:
    assert run_command(planted(monkeypatch, run, INTERRUPTED="stopped: nothing was written"), []) == code
    assert capsys.readouterr().err.strip() == line


def test_a_missing_module_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match="gone"):
        run_command(planted(monkeypatch, ours), [])


def test_a_reader_that_leaves_is_no_error() -> None:
    """`cyclegan-hub COMMAND | head -1`."""
    code = """
import sys
from types import SimpleNamespace
from cyclegan_hub.command_line import run_command
sys.modules["planted"] = SimpleNamespace(add_arguments=lambda parser: None, run=lambda _: print("line") or 0)
sys.exit(run_command("planted", []))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_broken_pipe_that_is_not_the_output_is_seen() -> None:
    def broken() -> int:
        raise BrokenPipeError("of a worker")

    def explained() -> int:
        with files_explained():
            return broken()

    with pytest.raises(BrokenPipeError, match="of a worker"):
        exit_code(broken)
    with pytest.raises(UserError, match="of a worker"):
        explained()


@pytest.mark.parametrize(("name", "path"), cli._MOVED.items())
def test_a_command_that_left_the_package_names_its_script(name: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--data", "x"]) == 2
    assert f"`python {path}` in a clone" in capsys.readouterr().err and (ROOT / path).is_file()
