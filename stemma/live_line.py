"""The last line of a terminal, drawn over and over while work goes on, and out of the way of all
else that is printed.

Nothing has to be put back: the cursor is never hidden and no mode of the terminal is changed, so
that a process that is killed leaves it as it was.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COLUMNS = 80
"""The width of a terminal that does not say its own."""
START, ERASE = "\r", "\x1b[K"
"""To the line's beginning; erase from there to its end."""

_lock = threading.RLock()
_drawn = ""


def can_draw() -> bool:
    """Whether stderr is a terminal that can draw a line anew: no pipe, no file, not `dumb`."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def draw(text: str) -> None:
    """Put a text, which must be visible as it is, in the place of the line before."""
    global _drawn  # there is one terminal
    with _lock:
        _drawn = text
        # One column stays free: a full line would go on in the next one.
        _write(START + cut(text, _columns() - 1) + ERASE)


def clear() -> None:
    """Take the line away."""
    global _drawn
    with _lock:
        if _drawn:
            _drawn = ""
            _write(START + ERASE)


@contextmanager
def out_of_the_way() -> Iterator[None]:
    """Print something else meanwhile: the line is taken away, and comes back below it."""
    with _lock:
        drawn = _drawn
        clear()
        yield
        if drawn:
            draw(drawn)


def cut(text: str, columns: int) -> str:
    """As much of a text as so many columns hold."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= columns:
        return text
    return set_cell_size(text, max(columns - 1, 0)) + "…" if columns > 0 else ""


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or COLUMNS
    except (OSError, ValueError):
        return COLUMNS


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
