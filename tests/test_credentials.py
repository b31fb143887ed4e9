"""A key is taken out of what a server says, in every form, and nothing else is."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from stemma.credentials import Credentials, hub_words, of_proxies
from tests.generator.echoing import KEY, forms, traces

OURS = Credentials([KEY])


@pytest.mark.parametrize("form", forms(KEY))
@pytest.mark.parametrize("around", ["{}", "é İ {} é", "x{}x", "{0}{0}"])
def test_every_form_is_taken_out(form: str, around: str) -> None:
    text = around.format(form)
    assert traces(text)
    found = OURS.taken_out(text)
    assert traces(found) == []
    assert "(key)" in found
    said = around.partition("{")[0]
    assert found.startswith(said)


def test_what_stands_around_it_stays() -> None:
    assert OURS.taken_out(f"No {KEY}, nor {KEY}!") == "No (key), nor (key)!"
    assert OURS.taken_out(f"No {KEY[:14]}…") == "No (key)…"
    assert OURS.taken_out("sk-very secret") == "sk-very secret"


def test_a_parsed_reply_is_searched_to_its_depth() -> None:
    value: Any = {"a": [KEY, 1, None, 0.5], KEY: {"b": f"x{KEY}"}}
    assert OURS.out_of_json(value) == {"a": ["(key)", 1, None, 0.5], "(key)": {"b": "x(key)"}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"a": KEY}).encode(),
        json.dumps({"a": KEY}).replace("sk-", "\\u0073k-").encode(),
        json.dumps({"a": KEY}).replace("/", "\\/").encode(),
        "".join(f"\\u{ord(letter):04x}" for letter in KEY).join(['{"a": "', '"}']).encode(),
        f'{{"a": 1}}\n{{"a": "\\u0073{KEY[1:]}"}}\nno json {KEY}\n'.encode(),
        f"<html>{KEY}</html>".encode(),
        KEY.encode() + b"\xff\xfe",
        b"[" * 100_000 + KEY.encode(),
    ],
)
def test_bodies_of_every_kind_are_searched(body: bytes) -> None:
    found = OURS.out_of_body(body)
    assert b"(key)" in found
    assert traces(found.decode("utf-8", "replace")) == []
    assert found.count(b"\n") == body.count(b"\n")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "caf\\u00e9 \\u0026 \\/ \\ud83d", "b": NaN, "c": 1e400}',
        b'{"a": 1}\n{"b": "\\u0026"}\n',
        b"\xff\x00\xfe",
        b"",
    ],
)
def test_other_bodies_come_as_they_are(body: bytes) -> None:
    assert OURS.out_of_body(body) == body


@pytest.mark.parametrize("key", ["x", "EMPTY", "no-key-needed", "anything", "token", "none"])
def test_a_word_in_place_of_a_key_may_stand_in_answers(key: str) -> None:
    ours = Credentials([key])
    assert ours.taken_out(f"{key} can be said") == f"{key} can be said"
    assert ours.taken_out(f"Authorization: Bearer {key}") == "Authorization: (key)"


def test_random_texts_lose_nothing() -> None:
    rng = random.Random(15)
    for _ in range(500):
        text = "".join(rng.choices(string.printable, k=200))
        assert OURS.taken_out(text) == text
        assert traces(OURS.taken_out(text[:100] + KEY + text[100:])) == []


@pytest.mark.parametrize("key", ["hunter2", "a" * 200, "ab1" * 9, "(key)(key)1"])
def test_keys_that_repeat_themselves_end(key: str) -> None:
    assert Credentials([key]).taken_out(f"a {key}{key} b").count("(key)") == 1


def test_passwords_of_proxies_are_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter%322@proxy:3128")
    monkeypatch.setenv("all_proxy", "http://[")
    assert set(of_proxies()) == {"hunter%322", "hunter22"}


def test_the_hubs_words_do_not_hold_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "hf_" + "a1B2" * 8
    monkeypatch.setenv("HF_TOKEN", token)
    assert hub_words(OSError(f"401: {token} is wrong\nmore")) == "401: (key) is wrong\nmore"
    assert hub_words(OSError()) == "OSError"
