"""Tests that show what an engine does silently when Stemma leaves it alone.

Each trap is a function that runs in a fresh process, where no other test has mended the engine, and
says whether the trap is still there. Once it is gone the test fails and names the guard that may
go. `docs/engine-notes.md` lists them; `test_notes.py` holds the list against the tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

SECONDS = 600
IMPORTED_ONCE = ["torch", "transformers", "peft", "trl", "deepspeed", "bitsandbytes"]
"""By the process that the others are forked from: an import of all takes many seconds.

(Axolotl's reads variables.)
"""
ONE_RANK = {"MASTER_ADDR": "127.0.0.1", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


def trap(guard: str) -> Callable[[Callable[..., bool]], Callable[[Path], None]]:
    """Make a slow test of a function that tells whether the engine still needs its guard.

    The function is given an empty folder.

    `guard` is a file, and in brackets what of it.
    """

    def make(shows: Callable[..., bool]) -> Callable[[Path], None]:
        def test(tmp_path: Path) -> None:
            if not alone(_named, shows.__module__, shows.__name__, tmp_path):
                pytest.fail(
                    f"the engine has mended this: remove the guard in {guard}", pytrace=False
                )

        test.__doc__, test.shows, test.guard = shows.__doc__, shows, guard  # type: ignore[attr-defined]
        return pytest.mark.slow(test)

    return make


def alone(function: Callable[..., Any], *given: Any) -> Any:
    """What it returns or raises in a process of its own."""
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    # The alarm ends a process that hangs.
    with ProcessPoolExecutor(
        1, mp_context=context, initializer=signal.alarm, initargs=(SECONDS,)
    ) as pool:
        return pool.submit(function, *given).result()


def _named(module: str, name: str, folder: Path) -> bool:
    from importlib import import_module

    for variable in [
        name for name in os.environ if name.startswith(("ACCELERATE_", "AXOLOTL_", "DO_NOT_TRACK"))
    ]:
        del os.environ[variable]
    found: bool = getattr(import_module(module), name).shows(folder)
    return found
