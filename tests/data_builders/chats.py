"""A generator for tests: the real client and ledger, and a scripted server on loopback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data_builders.flow import Generate
from data_builders.generated.model_server import open_server
from data_builders.scripted.faults import Faults, Json
from data_builders.scripted.server import ScriptedServer, serve
from stemma.generator.client import server_of
from stemma.generator.runner import open_runner
from stemma.recipe.generator import Generator

EXPERT = Generator(server="scripted-expert", model="expert")


@contextmanager
def answering(
    answer: Callable[[Json], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: Faults | None = None,
) -> Iterator[tuple[Generate, ScriptedServer]]:
    """A generator whose server gives these answers, and that server with its record."""
    monkeypatch.setenv("TEST_KEY", "k")
    with serve(answer, faults or Faults()) as server:
        settings = Generator(
            base_url=server.base_url, model="m", api_key_env="TEST_KEY", attempts=1
        )
        paid = server_of(settings)
        with open_runner(settings, paid, folder / "ledger.sqlite", 42, print) as generate:
            yield generate, server


@contextmanager
def expert(folder: Path) -> Iterator[Generate]:
    with (
        open_server(EXPERT, 42) as server,
        open_runner(EXPERT, server, folder / "ledger.sqlite", 42, print) as generate,
    ):
        yield generate


def prompt(body: dict[str, Any]) -> str:
    """What the last turn of a request says."""
    return str(body["messages"][-1]["content"])


def tagged(body: dict[str, Any], tag: str) -> str | None:
    """What a request holds between the tags, e.g. `<answer_a>`."""
    found = re.search(rf"<{tag}>\s*(.*?)\s*</{tag}>", prompt(body), re.DOTALL)
    return found[1] if found else None
