"""A person's page, served for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from eval.judge.page import PageServer
from eval.judge.person import Sitting


@contextmanager
def serving(sitting: Sitting) -> Iterator[PageServer]:
    """The running server of a sitting; it ends with the block."""
    with PageServer(sitting) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
