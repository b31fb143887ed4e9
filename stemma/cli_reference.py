"""Page `docs/reference/cli.md`: each verb's `--help`, as plain text. Pure."""

from __future__ import annotations

import click
import typer.main

from stemma.cli import app

PROGRAM = "python -m stemma"
WIDTH = 100
INTRODUCTION = """\
# Command line reference

Made by `make schema` from `--help`; not edited by hand. Run it from the checkout as
`.venv/bin/python -m stemma`; `make` lists the same verbs as targets. Results go to stdout,
everything else to stderr. Exit codes: 0 done, 1 failed, 2 something you can fix, 130 interrupted.
`RECIPE` is a name in `recipes/` or a path to a `.yml` file; its keys: [recipe.md](recipe.md).

Verbs: {verbs}.
"""


def cli_page() -> str:
    """The whole page."""
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group)
    parent = click.Context(group, info_name=PROGRAM)
    verbs = ", ".join(f"[{name}](#{name})" for name in group.commands)
    parts = [INTRODUCTION.format(verbs=verbs)]
    for name, command in group.commands.items():
        parts.append(f"## {name}\n\n```\n{_help(command, parent, name)}\n```\n")
    return "\n".join(parts)


def _help(command: click.Command, parent: click.Context, name: str) -> str:
    """The help text as click lays it out, without the frames that Typer draws in a terminal."""
    command.rich_markup_mode = None  # type: ignore[attr-defined]
    command.format_arguments = lambda *_: None  # type: ignore[method-assign]  # Typer lists them
    context = click.Context(command, info_name=name, parent=parent, max_content_width=WIDTH)
    context.terminal_width = WIDTH
    return command.get_help(context)
