"""Help texts of every verb, and `--version`."""

from __future__ import annotations

import re

import click
import pytest
import typer.main
from typer.core import TyperArgument

from stemma import ROOT, __version__
from stemma.cli import app, main

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, click.Group)


def words(text: str) -> str:
    """A text without line ends, frames and blanks of its layout."""
    return re.sub(r"[\s│]+", " ", text)


@pytest.mark.parametrize("verb", sorted(GROUP.commands))
def test_every_argument_and_option_has_its_text_in_the_help(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = GROUP.commands[verb]
    assert main([verb, "--help"]) == 0
    long = capsys.readouterr().out
    assert main([verb, "-h"]) == 0
    assert capsys.readouterr().out == long
    said = words(long)
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        assert text, f"{verb}: {parameter.name} has no help"
        # Frames may part a text from its later lines.
        assert words(text)[:20] in said, f"{verb}: {parameter.name}"


def test_an_argument_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--help"]) == 0
    assert "A name in recipes/, or a path to a .yml file." in words(capsys.readouterr().out)


def test_typer_still_loses_the_text_without_us() -> None:
    """Where this fails, `stemma.cli_help.Argument` can go."""
    assert TyperArgument(param_decls=["name"], help="What it is.").help is None


def test_the_version_says_which_checkout_this_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        rf"stemma {re.escape(__version__)} \(commit [0-9a-f]{{12}}, Python 3\.\d+\.\d+, .*\)\n",
        said,
    )
    assert str(ROOT) in said


def test_the_version_needs_no_git(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--version"]) == 0
    assert f"stemma {__version__} (commit unknown, " in capsys.readouterr().out
