from __future__ import annotations

import heapq
import math

import pytest

from stemma.generator.limits import (
    InFlightRequest,
    RateLimit,
    RateLimiter,
    RateLimitHeaders,
    TokenBucket,
    parse_duration,
    read_headers,
)
from stemma.recipe.generator import Limits


def limiter(most: int = 64, **limits: int) -> RateLimiter:
    return RateLimiter(Limits(**limits), most, now=0.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1h2m3s", 3723),
        ("7.66s", 7.66),
        ("1d", 86400),
        ("12", 12),
    ],
)
def test_openais_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "1s later", "-3", "ms"])
def test_what_is_no_duration_says_nothing(text: str | None) -> None:
    assert parse_duration(text) is None


def test_headers_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "lots",
        "retry-after": "2",
        "retry-after-ms": "1500",
    }
    assert read_headers(headers) == RateLimitHeaders(RateLimit(500, 499, 0.12), None, 1.5)
    assert read_headers({}) == RateLimitHeaders()


def test_a_date_to_retry_after_is_told_by_the_servers_own_clock() -> None:
    headers = {
        "date": "Sun, 01 Mar 2026 12:00:00 GMT",
        "retry-after": "Sun, 01 Mar 2026 12:03:20 GMT",
    }
    assert read_headers(headers).retry_seconds == 200
    assert read_headers({"retry-after": headers["retry-after"]}).retry_seconds is None


@pytest.mark.parametrize(
    ("allowance", "daily"),
    [
        (
            RateLimit(3500, 3499, 0.017),
            False,
        ),  # 3,500 a minute: one request is back after 60 / 3500 s
        (RateLimit(10_000, 9_999, 8.64), True),  # 10,000 a day: 86,400 / 10,000 s (OpenAI, tier 1)
        (RateLimit(14_400, 14_370, 179.56), True),  # Groq's day
        (RateLimit(500, 500, 0.0), False),
        (RateLimit(500, 480, None), False),
    ],
)
def test_a_days_limit_is_told_from_a_minutes(allowance: RateLimit, daily: bool) -> None:
    assert allowance.is_daily is daily


def test_a_bucket_refills_evenly_and_never_over_its_brim() -> None:
    bucket = TokenBucket(per_minute=120, capacity=4, now=0)
    for _ in range(4):
        assert bucket.delay(1, 0) == 0
        bucket.take(1, 0)
    assert bucket.delay(1, 0) == 0.5
    assert bucket.delay(1, 0.25) == 0.25
    assert bucket.delay(4, 1000) == 0
    bucket.take(4, 1000)
    assert bucket.delay(1, 1000) == 0.5
    assert bucket.delay(99, 1000) == 2  # more than it holds: a full one will do


def test_a_limit_of_the_recipe_is_kept_evenly() -> None:
    one = limiter(requests_per_minute=60)
    sent, now = [], 0.0
    while now < 120:
        if (wait := one.delay(1, now)) > 0:
            now += wait
        one.finish(one.start(1, now), "answered", RateLimitHeaders(), now)
        sent.append(now)
    assert len(sent) == 121  # one at once, then one a second


def test_tokens_wait_like_requests() -> None:
    one = limiter(tokens_per_minute=6000)  # 100 a second
    one.start(100, 0)
    assert one.delay(50, 0) == 0.5


def test_the_servers_bucket_is_mirrored_from_its_headers() -> None:
    one = limiter()
    ticket = one.start(1, 0)
    one.finish(ticket, "answered", RateLimitHeaders(requests=RateLimit(600, 2, 59.8)), 0)
    # 10 a second flow in; a tenth of a second's worth stays as a margin, so one of the two may
    # leave at once.
    assert one.delay(1, 0) == 0
    late = one.start(1, 0)
    assert one.delay(1, 0) == pytest.approx(0.1)
    # The reply to it says 1 left; after it nothing left, and one flowed in since.
    one.finish(late, "answered", RateLimitHeaders(requests=RateLimit(600, 1, 59.9)), 0.1)
    assert one.delay(1, 0.1) == pytest.approx(0.0)


def test_others_who_use_the_same_key_are_noticed() -> None:
    one = limiter()
    one.finish(one.start(1, 0), "answered", RateLimitHeaders(requests=RateLimit(600, 599, 0.1)), 0)
    assert one.delay(1, 1) == 0
    one.finish(one.start(1, 1), "answered", RateLimitHeaders(requests=RateLimit(600, 0, 60)), 1)
    assert one.delay(1, 1) == pytest.approx(0.2)


def test_the_recipes_limit_overrules_the_headers() -> None:
    one = limiter(requests_per_minute=60)
    one.finish(one.start(1, 0), "answered", RateLimitHeaders(requests=RateLimit(600, 599, 0.1)), 0)
    assert one.delay(1, 0) == 1


def test_at_once_grows_only_while_all_are_in_use_and_up_to_the_recipes_bound() -> None:
    one = limiter(most=6)
    for _ in range(50):
        one.finish(one.start(1, 0), "answered", RateLimitHeaders(), 0)
    assert one.at_once == 4  # one at a time never filled it
    for _ in range(3):
        tickets = [one.start(1, 0) for _ in range(int(one.at_once))]
        assert one.delay(1, 0) == math.inf
        for ticket in tickets:
            one.finish(ticket, "answered", RateLimitHeaders(), 0)
    assert one.at_once == 6


def refuse(one: RateLimiter, times: int, now: float) -> None:
    for ticket in [one.start(1, now) for _ in range(times)]:
        one.finish(ticket, "refused", RateLimitHeaders(), now + 1)


def test_refusals_halve_once_for_all_that_had_left_and_growth_is_slower_then() -> None:
    one = limiter(most=64)
    one.at_once = 32.0
    refuse(one, 4, now=1)
    assert one.at_once == 16
    refuse(one, 1, now=3)
    assert one.at_once == 8
    for ticket in [one.start(1, 5) for _ in range(8)]:
        one.finish(ticket, "answered", RateLimitHeaders(), 5)
    assert one.at_once == 8 + 1 / 4  # only the first came back while all were in use


def test_a_lone_refusal_is_an_accident() -> None:
    one = limiter(most=64)
    for _ in range(20):
        refuse(one, 1, now=1)
        one.finish(one.start(1, 1), "answered", RateLimitHeaders(), 1)
    assert one.at_once == 4


def served(one: RateLimiter, per_second: int, seconds: int) -> tuple[int, int]:
    """Replies and refusals of a server without headers that takes half a second a request."""
    level = float(per_second)
    replies = 0
    refusals = 0
    flying: list[tuple[float, InFlightRequest, bool]] = []
    for tick in range(seconds * 1000):
        now, level = tick / 1000, min(per_second, level + per_second / 1000)
        while flying and flying[0][0] <= now:
            _, ticket, good = heapq.heappop(flying)
            one.finish(ticket, "answered" if good else "refused", RateLimitHeaders(), now)
            replies, refusals = replies + good, refusals + (not good)
        while one.delay(1, now) == 0:
            good, level = level >= 1, max(level - 1, 0.0)
            heapq.heappush(
                flying,
                (
                    now + (0.5 if good else 0.01) + tick * 1e-9 + len(flying) * 1e-12,
                    one.start(1, now),
                    good,
                ),
            )
    return replies, refusals


def test_the_pace_of_a_server_without_headers_is_found() -> None:
    replies, refusals = served(limiter(most=200), per_second=40, seconds=60)
    assert replies > 0.85 * 40 * 60
    assert refusals < 0.05 * replies


def test_refusals_in_a_row_stop_everything_for_as_long_as_the_server_asks() -> None:
    one = limiter()
    for count in range(3):
        assert one.delay(1, 0) == 0, count
        one.finish(one.start(1, 0), "refused", RateLimitHeaders(retry_seconds=20), 0)
    assert one.delay(1, 5) == 15


def test_a_days_limit_of_the_recipe_counts_what_earlier_runs_sent() -> None:
    one = RateLimiter(Limits(requests_per_day=3), 8, now=0.0, sent_today=[-86_000.0, -3600.0])
    assert one.delay(1, 0) == 0
    one.start(1, 0)
    assert one.delay(1, 0) == 400  # then the first is a day old
    assert one.delay(1, 400) == 0


def test_a_day_that_is_used_up_by_the_headers_waits_for_the_next() -> None:
    one = limiter()
    one.finish(
        one.start(1, 0),
        "refused",
        RateLimitHeaders(requests=RateLimit(10_000, 0, 86_400), retry_seconds=8.64),
        0,
    )
    assert one.delay(1, 0) == 86_400
