"""Progress of the work at hand: on a terminal one live line, elsewhere a line now and then.

`[dpo] training: 120 of 260 steps, 46 %, 1 min left, 2.1 steps/s, loss 0.594`

A stage says `show(…)` as often as it likes. Elsewhere (a pipe, a file, CI's log) a line is printed
at the beginning of each thing done, every 5 per cent of it, and after five minutes of silence.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from stemma import live_line
from stemma.visible import tell, visible

Item = TypeVar("Item")
Say = Callable[[str], None]
Clock = Callable[[], float]

SHARE = 20
"""Elsewhere than on a terminal a line for each twentieth."""
APART_SECONDS = 10.0
"""Two such lines are at least so far apart."""
SILENT_SECONDS = 300.0
"""After so long a silence a line is printed all the same: some CI ends what says nothing."""
REDRAW_SECONDS = 0.1
TICK_SECONDS = 1.0
SHOWN_SECONDS = 1.0
SPENT_SECONDS = 5.0
"""What takes longer and is not counted tells its seconds."""
PACE_SECONDS = 30.0
"""The rate is that of the last seconds; of slow work that of the last steps."""
PACE_POINTS = 10
BYTES = "bytes"
"""The unit that is told in MB and GB."""


@dataclass(frozen=True)
class At:
    """How far something is: `done` of `total` units (either may be unknown), and a note."""

    doing: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    note: str = ""


@dataclass
class Progress:
    """The progress of one stage, whose name stands before each line."""

    label: str = ""
    clock: Clock = time.monotonic
    draws: Callable[[], bool] = live_line.can_draw
    say: Say = lambda text: tell(text, file=sys.stderr)
    """Prints a line where nothing can be drawn."""
    draw: Say = live_line.draw
    _at: At = field(default=At(""), init=False)
    _begun: float = field(default=0.0, init=False)
    _points: deque[tuple[float, int]] = field(default_factory=deque, init=False)
    """Moments, and what was done by then."""
    _drawn: float = field(default=float("-inf"), init=False)
    _said: float = field(default=float("-inf"), init=False)
    _said_share: int = field(default=0, init=False)

    def show(self, at: At) -> None:
        """Tell how far the work is."""
        now = self.clock()
        is_new = at.doing != self._at.doing or at.total != self._at.total
        if is_new:
            self._begun = now
            self._points.clear()
        moved = is_new or at != self._at
        self._at = at
        if at.done is not None and (not self._points or self._points[-1][1] != at.done):
            self._note(now, at.done)
        if self.draws():
            if is_new or now - self._drawn >= REDRAW_SECONDS:
                self._drawn = now
                self.draw(visible(self.line(now)).replace("\n", " "))
        elif is_new or self._is_due(now, moved):
            self._said = now
            self._said_share = self._share()
            self.say(self.line(now))

    def tick(self) -> None:
        """Tell that the same work still goes on: seconds pass on the terminal."""
        if self._at.doing:
            self.show(self._at)

    def line(self, now: float) -> str:
        """The line as it stands."""
        at, spent = self._at, now - self._begun
        told = ", ".join(part for part in (*self._counted(now), at.note) if part)
        line = (f"[{self.label}] " if self.label else "") + at.doing + (f": {told}" if told else "")
        # What is not counted shows by its seconds that it is alive.
        return line + f", {duration(spent)}" * (at.done is None and spent >= SPENT_SECONDS)

    def _counted(self, now: float) -> list[str]:
        at = self._at
        if at.done is None:
            return []
        unit = "" if at.unit in ("", BYTES) else f" {at.unit}"
        if not at.total:
            return [f"{amount(at.done, at.unit)}{unit}"]
        parts = [
            f"{amount(at.done, at.unit)} of {amount(at.total, at.unit)}{unit}",
            f"{100 * at.done // at.total} %",
        ]
        if pace := self._pace(now):
            if at.done < at.total:
                parts.append(f"{duration((at.total - at.done) / pace)} left")
            parts.append(rate(pace, at.unit))
        return parts

    def _note(self, now: float, done: int) -> None:
        self._points.append((now, done))
        while len(self._points) > PACE_POINTS and now - self._points[1][0] > PACE_SECONDS:
            self._points.popleft()

    def _pace(self, now: float) -> float:
        """Units a second; 0 where nobody knows yet.

        While nothing comes, the time since the last counts as well, but not the moment between two.
        """
        if len(self._points) < 2:
            return 0.0
        (begin, first), (end, last) = self._points[0], self._points[-1]
        between = (end - begin) / (len(self._points) - 1)
        seconds = max(end - begin, now - begin - between)
        return (last - first) / seconds if seconds > 0 else 0.0

    def _share(self) -> int:
        at = self._at
        return SHARE * at.done // at.total if at.done is not None and at.total else 0

    def _is_due(self, now: float, moved: bool) -> bool:
        quiet = now - self._said
        return (self._share() > self._said_share and quiet >= APART_SECONDS) or (
            quiet >= SILENT_SECONDS and (moved or self._at.done is None)
        )


_current = Progress()
_lock = threading.Lock()


@contextmanager
def of_stage(label: str) -> Iterator[None]:
    """Name the stage whose progress is shown; its live line is gone at the end, however it ends."""
    global _current  # there is one terminal
    before = _current
    _current = Progress(label)
    try:
        yield
    finally:
        live_line.clear()
        _current = before


def show(
    doing: str, done: int | None = None, total: int | None = None, unit: str = "", note: str = ""
) -> None:
    """Tell how far the work is: `done` of `total`, and what else is to be known of it."""
    with _lock:  # downloads come in several threads
        _current.show(At(doing, done, total, unit, note))


def tick() -> None:
    """Tell that the same work still goes on."""
    with _lock:
        _current.tick()


def counting(items: Iterable[Item], doing: str, unit: str) -> Iterator[Item]:
    """The items as they are; every second it is shown how many there were."""
    shown = time.monotonic()
    for number, item in enumerate(items, start=1):
        if (now := time.monotonic()) - shown >= SHOWN_SECONDS:
            shown = now
            show(doing, number, unit=unit)
        yield item


@contextmanager
def ticking() -> Iterator[None]:
    """Let the seconds pass on the terminal while one long call blocks; no child starts in it."""
    if not live_line.can_draw():
        yield
        return
    done = threading.Event()

    def tick_on() -> None:
        while not done.wait(TICK_SECONDS):
            tick()

    ticker = threading.Thread(target=tick_on, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()


def phase(say: Say, text: str) -> None:
    """Say what is being done: in the live line where there is one, else as a line of its own."""
    if live_line.can_draw():
        show(text)
    else:
        say(text)


def amount(count: int, unit: str) -> str:
    """A count; of bytes in MB or GB."""
    if unit != BYTES:
        return f"{count:,}"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def rate(pace: float, unit: str) -> str:
    """Units a second; where one takes longer, the seconds that it takes."""
    if unit == BYTES:
        return f"{amount(round(pace), BYTES)}/s"
    if pace >= 1:
        return f"{pace:.0f} {unit}/s" if pace >= 10 else f"{pace:.1f} {unit}/s"
    return f"{duration(1 / pace)} each" if pace < 0.1 else f"{1 / pace:.1f} s each"


def duration(seconds: float) -> str:
    """A span of time as a person says it: `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def percent(share: float) -> str:
    """A share as a person reads it: `83 %`."""
    return f"{100 * share:.0f} %"
