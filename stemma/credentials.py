"""Credentials in use, in every form in which a server may say them back; taken out of what it says.

A server sees the key in each request and may repeat it: in an error, a header, a model's name, an
answer. What it says is written into ledgers, manifests, samples and logs, so the key is taken out
before anything reads it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

TAKEN_OUT = "(key)"
SHORTEST = 7
"""Characters of a key that can be told from other words."""
FRAGMENT = 12
"""Characters of a key in a row that are taken out, too."""
PROBE = 6
"""Twelve characters in a row hold six that begin at a multiple of six."""
WORDS = re.compile(r"[a-z]+(?:[-_.][a-z]+)*|[A-Z]+(?:[-_.][A-Z]+)*")
"""What stands in for a key at servers that ask for none, e.g. `no-key-needed`; it may stand in any
answer."""
LONGEST_WORDS = 20
ESCAPED = re.compile(rb"\\u00[2-7][0-9a-fA-F]|\\/")
"""A character that JSON need not escape."""
HUB = "https://huggingface.co"
"""Where a model's page lies, on which its licence is accepted."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Credentials:
    """What is sent in confidence, and must not be kept when it comes back."""

    def __init__(self, secrets: Iterable[str]) -> None:
        given = list(secrets)
        whole = {form.lower() for secret in given for form in _forms(secret)}
        parts = {part.lower() for secret in given for part in _parts(secret, FRAGMENT, 1)}
        self._forms = sorted(whole | parts, key=len, reverse=True)
        # Few and short: whatever is to be taken out holds one of them.
        probes = {part.lower() for secret in given for part in _parts(secret, PROBE, PROBE)}
        self._probes = sorted(whole | probes)
        self._data = [probe.encode() for probe in self._probes]

    def taken_out(self, text: str) -> str:
        """The text without any of them."""
        lowered = text.lower()
        if len(lowered) != len(text):  # a letter that grows, as `İ` does
            lowered = "".join(one if len(one) == 1 else "\0" for one in map(str.lower, text))
        if not any(probe in lowered for probe in self._probes):
            return text
        covered = [
            (start, start + len(form)) for form in self._forms for start in _starts(form, lowered)
        ]
        parts, end = [], 0
        for first, last in _joined(sorted(covered)):
            parts += [text[end:first], TAKEN_OUT]
            end = last
        return "".join([*parts, text[end:]])

    def out_of_json(self, value: Any) -> Any:
        """A parsed reply without any of them, in keys and values."""
        if isinstance(value, str):
            return self.taken_out(value)
        if isinstance(value, list):
            return [self.out_of_json(one) for one in value]
        if isinstance(value, dict):
            return {self.taken_out(key): self.out_of_json(one) for key, one in value.items()}
        return value

    def out_of_body(self, body: bytes) -> bytes:
        """A reply's body without any of them: JSON, JSON Lines or text; unchanged where none is."""
        lowered = body.lower()
        if not (ESCAPED.search(body) or any(probe in lowered for probe in self._data)):
            return body
        text = body.decode("utf-8", "replace")
        try:
            return self._json(text)
        except (ValueError, RecursionError):
            return b"\n".join(map(self._line, text.split("\n")))

    def _line(self, text: str) -> bytes:
        try:
            return self._json(text)
        except (ValueError, RecursionError):
            return self.taken_out(text).encode("utf-8", "replace")

    def _json(self, text: str) -> bytes:
        """JSON without any of them, as it was where there is none."""
        value = json.loads(text)
        found = self.out_of_json(value)
        return (text if found == value else json.dumps(found)).encode("utf-8", "replace")


def _starts(form: str, text: str) -> Iterator[int]:
    start = text.find(form)
    while start >= 0:
        yield start
        start = text.find(form, start + 1)


def _joined(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges in their order, those that touch as one."""
    begun: tuple[int, int] | None = None
    for first, last in ranges:
        if begun and first <= begun[1]:
            begun = (begun[0], max(begun[1], last))
            continue
        if begun:
            yield begun
        begun = (first, last)
    if begun:
        yield begun


def _forms(secret: str) -> Iterator[str]:
    """The texts that give a secret away; of a word that may stand anywhere, only with `Bearer`."""
    data = secret.encode()
    if is_word(secret):
        yield f"Bearer {secret}"
        yield from _base64_forms(b"Bearer " + data)
        return
    yield from (secret, quote(secret, safe=""), quote_plus(secret), data.hex())
    yield from _base64_forms(data)


def _parts(secret: str, length: int, step: int) -> Iterator[str]:
    """The parts of a key that give it away as well."""
    if not is_word(secret):
        for start in range(0, len(secret) - length + 1, step):
            yield secret[start : start + length]


def is_word(secret: str) -> bool:
    """Whether a key cannot be told from what anybody may write."""
    is_short = len(secret) < SHORTEST
    return is_short or (len(secret) < LONGEST_WORDS and bool(WORDS.fullmatch(secret)))


def _base64_forms(data: bytes) -> Iterator[str]:
    """What base64 makes of the bytes wherever they begin in a longer text, as in Basic
    authentication: the characters that no neighbour decides."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data).decode()
        first = (0, 2, 3)[before]
        last = (before + len(data)) * 8 // 6
        yield whole[first:last]
        yield whole[first:last].replace("+", "-").replace("/", "_")


def of_proxies() -> Iterator[str]:
    """The passwords in the environment's proxy addresses: a proxy may repeat them."""
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        try:
            password = urlsplit(os.environ.get(name, "")).password
        except ValueError:
            continue
        if password:
            yield from (password, unquote(password))


def hub_words(error: Exception) -> str:
    """What the hub says, without the token it was asked with."""
    from huggingface_hub import get_token

    credentials = Credentials([*filter(None, [get_token()]), *of_proxies()])
    return credentials.taken_out(str(error).strip() or type(error).__name__)


def gated_hint(name: str) -> str:
    """What gives access to a gated model, or with `datasets/` before its name to such data."""
    from huggingface_hub import get_token

    accept = f"accept its licence first, on {HUB}/{name}"
    if get_token() is None:
        return f"{accept}; then `.venv/bin/hf auth login` with a token of that account"
    which = "`.venv/bin/hf auth whoami` names it"
    return f"{accept}, with the account of the token in use ({which}); the token must allow it too"
