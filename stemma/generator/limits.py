"""How fast the server may be asked: its rate limits, given or read from its headers, and how many at once it bears.

Pure: the clock's seconds are handed in. The headers of a reply, as OpenAI sends them:

    x-ratelimit-limit-requests: 500        x-ratelimit-remaining-requests: 499    x-ratelimit-reset-requests: 120ms
    x-ratelimit-limit-tokens: 200000       x-ratelimit-remaining-tokens: 199462   x-ratelimit-reset-tokens: 161ms

They describe token buckets that refill evenly. Each is mirrored here, so that a request leaves as soon as the server
will take it, and not before.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from stemma.recipe.generator import Limits

DAY_SECONDS = 86_400.0
FIRST_AT_ONCE = 4
"""Requests in flight to begin with; doubles with every round of replies for as long as that many are wanted."""
OVERLOADED, SHUT = 2, 3
"""So many 429 without a reply between them are no accident: fewer requests at once; a pause for all."""
REGROWTH = 1 / 4
"""Once the server has shown its bounds, what it bears is doubled in four rounds of replies rather than one."""
CUSHION_SECONDS = 0.1
"""What is left in a mirrored bucket: replies come late and in disorder, so its level is known to about so much."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS}

Outcome = Literal["answered", "refused", "failed"]
"""`refused`: HTTP 429; `failed`: anything else that is no reply."""


@dataclass(frozen=True)
class Allowance:
    """What a reply's headers say of one limit."""

    limit: float
    remaining: float
    reset_seconds: float | None = None

    @property
    def is_daily(self) -> bool:
        """OpenAI's lowest tiers and Groq tell the day's limit of requests under the same names as others the minute's.

        A bucket is full again after window × used / limit seconds: that gives the window.
        """
        used = self.limit - self.remaining
        if self.reset_seconds is None or used <= 0:
            return False
        return self.reset_seconds > 90 or self.reset_seconds * self.limit / used > DAY_SECONDS / 4


@dataclass(frozen=True)
class Heard:
    """What the headers of a reply say; None: nothing."""

    requests: Allowance | None = None
    tokens: Allowance | None = None
    retry_seconds: float | None = None


def read_headers(headers: Mapping[str, str]) -> Heard:
    """Names in lower case. What cannot be understood counts as not said."""
    return Heard(_allowance(headers, "requests"), _allowance(headers, "tokens"), _retry_seconds(headers))


def _allowance(headers: Mapping[str, str], unit: str) -> Allowance | None:
    limit, remaining, reset = (headers.get(f"x-ratelimit-{what}-{unit}") for what in ("limit", "remaining", "reset"))
    if not (_is_number(limit) and _is_number(remaining)) or float(limit or 0) <= 0:
        return None
    return Allowance(float(limit or 0), float(remaining or 0), parse_duration(reset))


def _retry_seconds(headers: Mapping[str, str]) -> float | None:
    milliseconds, given = headers.get("retry-after-ms"), headers.get("retry-after")
    if _is_number(milliseconds):
        return float(milliseconds or 0) / 1000
    if _is_number(given):
        return float(given or 0)
    try:  # a date, told from the server's own clock
        until, now = (parsedate_to_datetime(text) for text in (given or "", headers.get("date") or ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def parse_duration(text: str | None) -> float | None:
    """Seconds of `1s`, `6m0s`, `20ms`, `1h2m3s`, `7.66s` or a bare number; None for anything else."""
    if _is_number(text):
        return float(text or 0)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text or "")
    whole = "".join(number + unit for number, unit in parts)
    return sum(float(number) * UNITS[unit] for number, unit in parts) if parts and whole == text else None


def _is_number(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"\d+(\.\d+)?", text.strip()) is not None


class Bucket:
    """A token bucket: refills evenly to its capacity. `taken` counts all that was ever taken."""

    def __init__(self, per_minute: float, capacity: float, now: float) -> None:
        self.rate, self.capacity, self.taken = per_minute / 60, capacity, 0.0
        self.cushion = 0.0
        self._level, self._filled = capacity, now

    def set_level(self, level: float, now: float) -> None:
        self._level, self._filled = min(level, self.capacity), now

    def delay(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken. What is larger than the bucket waits for a full one."""
        level = min(self.capacity, self._level + (now - self._filled) * self.rate)
        return max(0.0, min(amount + self.cushion, self.capacity) - level) / self.rate

    def take(self, amount: float, now: float) -> None:
        self.set_level(self._level + (now - self._filled) * self.rate, now)
        self._level -= amount
        self.taken += amount


@dataclass(frozen=True)
class Ticket:
    """A request in flight: when it left, and what had been taken from each bucket by then."""

    sent: float
    taken: Mapping[str, float]


class Limiter:
    """Says when the next request may leave, and learns from every reply."""

    def __init__(self, limits: Limits, most_at_once: int, now: float, sent_today: Iterable[float] = ()) -> None:
        """`sent_today`: when the requests of the last 24 hours were sent, by the same clock, oldest first."""
        self._given = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        # A limit from the recipe is kept evenly, with no more than a second's worth at once.
        self._buckets = {name: Bucket(n, max(1.0, n / 60), now) for name, n in self._given.items() if n}
        self._per_day, self._day = limits.requests_per_day, deque(sent_today)
        self._most, self.at_once = most_at_once, float(min(most_at_once, FIRST_AT_ONCE))
        self.in_flight = 0
        self._cut = self._paused_until = -math.inf
        self._refusals, self._growth = 0, 1.0

    def delay(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may leave; infinite: first another one must come back."""
        if self.in_flight >= int(self.at_once):
            return math.inf
        amounts = {"requests": 1.0, "tokens": tokens}
        waits = [bucket.delay(amounts[name], now) for name, bucket in self._buckets.items()]
        return max(0.0, self._paused_until - now, self._until_tomorrow(now), *waits)

    def _until_tomorrow(self, now: float) -> float:
        while self._day and self._day[0] <= now - DAY_SECONDS:
            self._day.popleft()
        full = self._per_day is not None and len(self._day) >= self._per_day
        return self._day[0] + DAY_SECONDS - now if full else 0.0

    def start(self, tokens: float, now: float) -> Ticket:
        self.in_flight += 1
        if self._per_day is not None:
            self._day.append(now)
        for name, bucket in self._buckets.items():
            bucket.take(1.0 if name == "requests" else tokens, now)
        return Ticket(now, {name: bucket.taken for name, bucket in self._buckets.items()})

    def finish(self, ticket: Ticket, outcome: Outcome, heard: Heard, now: float) -> None:
        was_full = self.in_flight >= int(self.at_once)
        self.in_flight -= 1
        for name, allowance in (("requests", heard.requests), ("tokens", heard.tokens)):
            if allowance and not self._given[name]:
                self._mirror(name, allowance, ticket, now)
        if outcome == "answered":
            self._refusals = 0
            self.at_once = min(self._most, self.at_once + was_full * self._growth)
        elif outcome == "refused":
            self._slow_down(ticket, heard, now)

    def _mirror(self, name: str, allowance: Allowance, ticket: Ticket, now: float) -> None:
        if allowance.is_daily:
            self._buckets.pop(name, None)
            if allowance.remaining < 1:
                self._paused_until = max(self._paused_until, now + (allowance.reset_seconds or 0.0))
            return
        bucket = self._buckets.get(name)
        if bucket is None or bucket.capacity != allowance.limit:
            fresh = Bucket(allowance.limit, allowance.limit, now)
            fresh.taken = bucket.taken if bucket else float(self.in_flight if name == "requests" else 0)
            fresh.cushion = min(fresh.rate * CUSHION_SECONDS, fresh.capacity / 2)
            self._buckets[name] = bucket = fresh
        # The server told its level as of this request; what left after it, and what flowed in since, come on top.
        since = bucket.taken - ticket.taken.get(name, 0.0)
        bucket.set_level(allowance.remaining - since + (now - ticket.sent) * bucket.rate, now)

    def _slow_down(self, ticket: Ticket, heard: Heard, now: float) -> None:
        self._refusals += 1
        if self._refusals >= OVERLOADED and ticket.sent > self._cut:  # what had left before the last cut is no news
            self.at_once, self._cut, self._growth = max(1.0, self.at_once / 2), now, REGROWTH
        if self._refusals >= SHUT or (heard.retry_seconds or 0.0) >= 60:
            self._paused_until = max(self._paused_until, now + (heard.retry_seconds or 0.0))
