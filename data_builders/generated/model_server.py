"""The server that answers a recipe's generator jobs: a paid one, or the scripted expert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stemma.generator.client import ModelServer, server_of
from stemma.recipe.generator import Generator


def identity_of(settings: Generator, seed: int) -> str | None:
    """The scripted expert's mark in the ledger's keys: its replies are no other server's.

    None for a paid server, whose requests alone tell replies apart.
    """
    return f"scripted-expert {seed}" if settings.server == "scripted-expert" else None


@contextmanager
def open_server(settings: Generator, seed: int) -> Iterator[ModelServer]:
    """The server; the scripted expert is started here and ends with the block.

    Raises UserError where a paid server's key is not set.
    """
    if settings.server != "scripted-expert":
        yield server_of(settings)
        return

    from data_builders.scripted.expert import serve_expert  # loads the web server

    with serve_expert(seed) as base_url:
        yield ModelServer(base_url, "no-key-needed", identity_of(settings, seed))
