"""Faults, rate caps, replies and the record of the scripted server.

Pure but for the clock. A reply looks like this (a token is four characters):

    {"id": "chatcmpl-1f0c…", "object": "chat.completion", "created": 0, "model": "m",
     "choices": [{"index": 0, "finish_reason": "stop",
                  "message": {"role": "assistant", "content": "4", "refusal": null}}],
     "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from stemma.digests import digest_json

Json = dict[str, Any]
WriteAnswer = Callable[[Json], str]
"""Gives the text that answers a request's body. Raises ValueError, which becomes an HTTP 400, for a
body it does not understand."""
Fault = Literal[
    "429", "5xx", "malformed", "silent", "reset", "refusal", "length", "empty", "garbage"
]
"""`malformed`: a web page or cut JSON in place of the reply; `garbage`: a whole reply whose own
text, in JSON, is cut."""


@dataclass(frozen=True)
class Faults:
    """The server's behaviour. By default it answers at once and never fails."""

    seed: int = 0
    shares: Mapping[Fault, float] = field(default_factory=dict)
    """The share of requests that each fault befalls."""
    median_seconds: float = 0.0
    sigma: float = 0.0
    """Latency is log-normal."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    """The request headers then speak of the day, as OpenAI's do for the lowest tiers."""
    burst_seconds: float = 60.0
    """How many seconds' worth of a minute's cap may be used at once.

    OpenAI allows all of it, but warns that it may be a second's.
    """
    batch_seconds: float = 0.0
    """How long a batch is in progress."""
    batch_expires_after: int | None = None
    """Of each batch, answer only so many requests; the rest expires."""

    def draw(self, digest: str, attempt: int) -> tuple[Fault | None, random.Random]:
        """The fault that befalls a request, if any, and a generator for all else that is random."""
        rng = random.Random(f"{self.seed}/{digest}/{attempt}")
        names: list[Fault | None] = [None, *self.shares]
        weights = [1 - sum(self.shares.values()), *self.shares.values()]
        return rng.choices(names, weights)[0], rng

    def latency(self, rng: random.Random) -> float:
        """Seconds until the reply."""
        if not self.median_seconds:
            return 0.0
        return rng.lognormvariate(math.log(self.median_seconds), self.sigma)

    def caps(self) -> list[RateCap]:
        """The rate caps; the day's comes last, so that its headers are the ones that are sent."""
        share = self.burst_seconds / 60
        settings = (
            ("requests", "requests per min (RPM)", self.requests_per_minute, 60.0, share),
            ("tokens", "tokens per min (TPM)", self.tokens_per_minute, 60.0, share),
            ("requests", "requests per day (RPD)", self.requests_per_day, 86400.0, 1.0),
        )
        return [
            RateCap(kind, name, limit, limit / window, limit * burst)
            for kind, name, limit, window, burst in settings
            if limit
        ]


@dataclass
class ServerRecord:
    """Everything the server received and billed, by the sha256 of a request's canonical JSON.

    Lines of batches count like requests.
    """

    requests: list[Json] = field(default_factory=list)
    received: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    admitted: list[float] = field(default_factory=list)
    """When each request passed the caps, in seconds of the monotonic clock."""
    answered: dict[str, float] = field(default_factory=dict)
    """When a request was billed first, by the same clock."""
    over_cap: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def admit(self, fault: Fault | None) -> None:
        self.admitted.append(time.monotonic())
        if fault:
            self.faults[fault] += 1

    def bill(self, digest: str) -> None:
        self.billed[digest] += 1
        self.answered.setdefault(digest, time.monotonic())

    @contextmanager
    def flight(self) -> Iterator[None]:
        """While a request is worked on."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def stats(self) -> Json:
        """All but the requests themselves, as JSON."""
        return {name: value for name, value in vars(self).items() if name != "requests"}


@dataclass(frozen=True)
class RequestHandler:
    """Answers requests and records them, over HTTP and in batches alike."""

    write: WriteAnswer
    faults: Faults
    record: ServerRecord

    def receive(self, body: Json) -> tuple[Fault | None, random.Random]:
        """Records a request, and draws what becomes of it."""
        digest = digest_json(body)
        drawn = self.faults.draw(digest, self.record.received[digest])
        self.record.requests.append(body)
        self.record.received[digest] += 1
        return drawn

    def answer(self, body: Json, fault: Fault | None, rng: random.Random) -> Json:
        """The reply, billed (unless it will be cut on its way)."""
        reply = completion(body, self.write(body), fault, rng)
        if fault != "malformed":
            self.record.bill(digest_json(body))
        return reply


@dataclass
class RateCap:
    """A token bucket: refills continuously at `rate` a second, holds `burst` at most."""

    kind: str
    name: str
    limit: int
    rate: float
    burst: float

    def __post_init__(self) -> None:
        self._level = self.burst
        self._filled_at = time.monotonic()

    def wait_seconds(self, amount: float) -> float:
        """How long until `amount` may pass; 0: now."""
        now = time.monotonic()
        self._level = min(self.burst, self._level + (now - self._filled_at) * self.rate)
        self._filled_at = now
        return max(0.0, min(amount, self.burst) - self._level) / self.rate

    def take(self, amount: float) -> None:
        self._level -= amount

    def headers(self) -> dict[str, str]:
        return {
            f"x-ratelimit-limit-{self.kind}": str(self.limit),
            f"x-ratelimit-remaining-{self.kind}": str(max(0, int(self._level))),
            f"x-ratelimit-reset-{self.kind}": duration((self.burst - self._level) / self.rate),
        }


def duration(seconds: float) -> str:
    """OpenAI's way to write one: `20ms`, `8.64s`, `6m0s`, `1h2m3s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def completion(body: Json, text: str, fault: Fault | None, rng: random.Random) -> Json:
    """The reply to a request whose answer is `text`, or what a fault makes of it."""
    content: str | None = text
    if fault == "length" or (fault == "garbage" and "response_format" in body):
        content = text[: len(text) // 2]
    elif fault in ("empty", "refusal"):
        content = rng.choice(["", None]) if fault == "empty" else None
    refusal = "I cannot help with that." if fault == "refusal" else None
    message = {"role": "assistant", "content": content, "refusal": refusal}
    finish_reason = "length" if fault == "length" else "stop"
    asked = _prompt_tokens(body)
    written = _tokens(content or refusal or "")
    return {
        "id": f"chatcmpl-{rng.getrandbits(64):016x}",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": written,
            "total_tokens": asked + written,
        },
    }


def tokens_asked(body: Json) -> int:
    """Tokens per minute that a request takes when it arrives: its prompt and longest reply."""
    limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
    return _prompt_tokens(body) + (limits[0] if limits else 16)


def _prompt_tokens(body: Json) -> int:
    return sum(_tokens(str(message["content"])) for message in body["messages"])


def _tokens(text: str) -> int:
    return len(text) // 4 + 1
