"""The pace at which a server may be asked: its rate limits, and how many requests at once it bears.

Limits come from the recipe or from the headers of replies. Pure: the clock's seconds are handed in.
The headers, as OpenAI sends them:

    x-ratelimit-limit-requests: 500          x-ratelimit-limit-tokens: 200000
    x-ratelimit-remaining-requests: 499      x-ratelimit-remaining-tokens: 199462
    x-ratelimit-reset-requests: 120ms        x-ratelimit-reset-tokens: 161ms

They describe token buckets that refill evenly. Each is mirrored here, so that a request leaves as
soon as the server will take it, and not before.
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
FIRST_CONCURRENCY = 4
"""Requests in flight to begin with; doubles with every round of replies while that many wait."""
REFUSALS_TO_SLOW_DOWN = 2
"""HTTP 429 in a row, without a reply between them, after which fewer requests are sent at once."""
REFUSALS_TO_PAUSE = 3
"""HTTP 429 in a row after which all requests wait for as long as the server asks."""
GROWTH_AFTER_REFUSALS = 1 / 4
"""Growth per reply once the server has shown its bounds: doubled in four rounds, not in one."""
MARGIN_SECONDS = 0.1
"""Seconds' worth left in a mirrored bucket: replies come late, so its level is known to so much."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY_SECONDS}

Outcome = Literal["answered", "refused", "failed"]
"""`refused`: HTTP 429; `failed`: anything else that is no reply."""


@dataclass(frozen=True)
class RateLimit:
    """One limit of the server, as a reply's headers state it."""

    limit: float
    remaining: float
    reset_seconds: float | None = None

    @property
    def is_daily(self) -> bool:
        """Whether it is a day's limit: some servers use the same header names as for a minute's.

        So do OpenAI, for its lowest tiers, and Groq. A bucket is full again after
        window x used / limit seconds: that gives the window.
        """
        used = self.limit - self.remaining
        if self.reset_seconds is None or used <= 0:
            return False
        return self.reset_seconds > 90 or self.reset_seconds * self.limit / used > DAY_SECONDS / 4


@dataclass(frozen=True)
class RateLimitHeaders:
    """The rate limits that a reply's headers state; None where they state nothing."""

    requests: RateLimit | None = None
    tokens: RateLimit | None = None
    retry_seconds: float | None = None
    """The pause the server asks for."""


def read_headers(headers: Mapping[str, str]) -> RateLimitHeaders:
    """Reads headers by their names in lower case. What cannot be understood counts as not there."""
    return RateLimitHeaders(
        _rate_limit(headers, "requests"),
        _rate_limit(headers, "tokens"),
        _retry_seconds(headers),
    )


def _rate_limit(headers: Mapping[str, str], unit: str) -> RateLimit | None:
    limit = parse_number(headers.get(f"x-ratelimit-limit-{unit}"))
    remaining = parse_number(headers.get(f"x-ratelimit-remaining-{unit}"))
    if limit is None or remaining is None or limit <= 0:
        return None
    return RateLimit(limit, remaining, parse_duration(headers.get(f"x-ratelimit-reset-{unit}")))


def _retry_seconds(headers: Mapping[str, str]) -> float | None:
    milliseconds = parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers.get("retry-after") or ""
    seconds = parse_number(given)
    if seconds is not None:
        return seconds
    try:
        # A date, which is compared with the server's own clock.
        until = parsedate_to_datetime(given)
        now = parsedate_to_datetime(headers.get("date") or "")
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def parse_number(text: str | None) -> float | None:
    """The value of digits with or without a fraction; None for anything else."""
    if text is None or not re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return None
    return float(text)


def parse_duration(text: str | None) -> float | None:
    """Seconds of `1s`, `6m0s`, `20ms`, `1h2m3s`, `7.66s` or a bare number; None for the rest."""
    number = parse_number(text)
    if number is not None:
        return number
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text or "")
    whole = "".join(value + unit for value, unit in parts)
    if not parts or whole != text:
        return None
    return sum(float(value) * UNITS[unit] for value, unit in parts)


class TokenBucket:
    """A bucket that refills evenly, at `rate` a second, to its capacity."""

    def __init__(self, per_minute: float, capacity: float, now: float) -> None:
        self.rate = per_minute / 60
        self.capacity = capacity
        self.taken = 0.0
        """All that was ever taken."""
        self.margin = 0.0
        """What is always left in it."""
        self._level = capacity
        self._filled_at = now

    def set_level(self, level: float, now: float) -> None:
        self._level = min(level, self.capacity)
        self._filled_at = now

    def delay(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken. More than it can hold waits for a full one."""
        needed = min(amount + self.margin, self.capacity)
        level = min(self.capacity, self._refilled(now))
        return max(0.0, needed - level) / self.rate

    def take(self, amount: float, now: float) -> None:
        self.set_level(self._refilled(now), now)
        self._level -= amount
        self.taken += amount

    def _refilled(self, now: float) -> float:
        return self._level + (now - self._filled_at) * self.rate


@dataclass(frozen=True)
class InFlightRequest:
    """A request that was sent: when, and what had been taken from each bucket by then."""

    sent_at: float
    taken: Mapping[str, float]


class RateLimiter:
    """Tells when the next request may leave, and learns from every reply."""

    def __init__(
        self, limits: Limits, most_at_once: int, now: float, sent_today: Iterable[float] = ()
    ) -> None:
        """`sent_today`: when the last 24 hours' requests were sent, by the same clock, in order."""
        self._given = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        # A limit from the recipe is kept evenly, with no more than a second's worth at once.
        self._buckets = {
            name: TokenBucket(limit, max(1.0, limit / 60), now)
            for name, limit in self._given.items()
            if limit
        }
        self._per_day = limits.requests_per_day
        self._sent_today = deque(sent_today)
        self._most_at_once = most_at_once
        self.at_once = float(min(most_at_once, FIRST_CONCURRENCY))
        self.in_flight = 0
        self._slowed_at = -math.inf
        self._paused_until = -math.inf
        self._refusals = 0
        self._growth = 1.0

    def delay(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may leave.

        Infinite where another one must come back first.
        """
        if self.in_flight >= int(self.at_once):
            return math.inf
        amounts = {"requests": 1.0, "tokens": tokens}
        waits = [bucket.delay(amounts[name], now) for name, bucket in self._buckets.items()]
        return max(0.0, self._paused_until - now, self._until_tomorrow(now), *waits)

    def _until_tomorrow(self, now: float) -> float:
        while self._sent_today and self._sent_today[0] <= now - DAY_SECONDS:
            self._sent_today.popleft()
        if self._per_day is None or len(self._sent_today) < self._per_day:
            return 0.0
        return self._sent_today[0] + DAY_SECONDS - now

    def start(self, tokens: float, now: float) -> InFlightRequest:
        """Notes that a request leaves."""
        self.in_flight += 1
        if self._per_day is not None:
            self._sent_today.append(now)
        for name, bucket in self._buckets.items():
            bucket.take(1.0 if name == "requests" else tokens, now)
        taken = {name: bucket.taken for name, bucket in self._buckets.items()}
        return InFlightRequest(now, taken)

    def finish(
        self, request: InFlightRequest, outcome: Outcome, headers: RateLimitHeaders, now: float
    ) -> None:
        """Notes what became of a request, and learns from it."""
        was_full = self.in_flight >= int(self.at_once)
        self.in_flight -= 1
        for name, limit in (("requests", headers.requests), ("tokens", headers.tokens)):
            if limit and not self._given[name]:
                self._mirror(name, limit, request, now)
        if outcome == "answered":
            self._refusals = 0
            if was_full:
                self.at_once = min(self._most_at_once, self.at_once + self._growth)
        elif outcome == "refused":
            self._slow_down(request, headers, now)

    def _mirror(self, name: str, limit: RateLimit, request: InFlightRequest, now: float) -> None:
        """Sets a bucket to the level that the server told."""
        if limit.is_daily:
            self._buckets.pop(name, None)
            if limit.remaining < 1:
                self._pause_until(now + (limit.reset_seconds or 0.0))
            return
        bucket = self._buckets.get(name)
        if bucket is None or bucket.capacity != limit.limit:
            bucket = self._new_bucket(name, limit, now)
        # The server's level is as of this request: what was sent after it is taken off, and what
        # flowed in since is added.
        sent_after = bucket.taken - request.taken.get(name, 0.0)
        flowed_in = (now - request.sent_at) * bucket.rate
        bucket.set_level(limit.remaining - sent_after + flowed_in, now)

    def _new_bucket(self, name: str, limit: RateLimit, now: float) -> TokenBucket:
        old = self._buckets.get(name)
        bucket = TokenBucket(limit.limit, limit.limit, now)
        if old:
            bucket.taken = old.taken
        elif name == "requests":
            bucket.taken = float(self.in_flight)
        bucket.margin = min(bucket.rate * MARGIN_SECONDS, bucket.capacity / 2)
        self._buckets[name] = bucket
        return bucket

    def _slow_down(self, request: InFlightRequest, headers: RateLimitHeaders, now: float) -> None:
        self._refusals += 1
        # Requests that had left before the last slowing down tell nothing new.
        if self._refusals >= REFUSALS_TO_SLOW_DOWN and request.sent_at > self._slowed_at:
            self.at_once = max(1.0, self.at_once / 2)
            self._slowed_at = now
            self._growth = GROWTH_AFTER_REFUSALS
        pause = headers.retry_seconds or 0.0
        if self._refusals >= REFUSALS_TO_PAUSE or pause >= 60:
            self._pause_until(now + pause)

    def _pause_until(self, moment: float) -> None:
        self._paused_until = max(self._paused_until, moment)
