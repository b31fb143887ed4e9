"""The one file that knows the `openai` client: asks an OpenAI-compatible server, and journals every answer.

A request is told by its content (model, prompt, settings, seed), so that a killed stage, run again, sends only what
was never answered. Neither a key nor a server's error text (some quote the key) reaches a file or a message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from data_builders.expert import serve_expert
from stemma.errors import Problem, StageFailed, UserError
from stemma.recipe import Generator
from stemma.runs import digest_json

TIMEOUT_SECONDS = 120.0
AGAIN = "answers so far are kept: run the same command again to go on"


@dataclass(frozen=True)
class Reply:
    """A finished answer, or why there is none."""

    text: str
    problem: str | None = None


class Journal:
    """Answers that were paid for, by request key: one write and fsync each, as they come.

    A torn last line (a kill in mid-write) is cut on opening.
    """

    def __init__(self, path: Path) -> None:
        whole = path.read_bytes() if path.exists() else b""
        end = whole.rfind(b"\n") + 1
        entries = [json.loads(line) for line in whole[:end].splitlines()]
        self._answers: dict[str, dict[str, Any]] = {entry["key"]: entry["answer"] for entry in entries}
        self._lock = Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, end)

    def find(self, key: str) -> dict[str, Any] | None:
        return self._answers.get(key)

    def add(self, key: str, answer: dict[str, Any]) -> None:
        line = json.dumps({"key": key, "answer": answer}) + "\n"
        with self._lock:
            os.write(self._file, line.encode())
            os.fsync(self._file)
            self._answers[key] = answer

    def close(self) -> None:
        os.close(self._file)


class Writer:
    """Asks one model. Safe to use from several threads."""

    def __init__(self, client: openai.OpenAI, settings: Generator, journal: Journal) -> None:
        self._client = client
        self._settings = settings
        self._journal = journal
        self._lock = Lock()
        self.requests_sent = 0

    def ask(self, prompt: str, seed: int, as_json: bool = False) -> Reply:
        """The model's reply to one user turn. Raises StageFailed or UserError when the server cannot be used."""
        request = {
            "model": self._settings.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
            "seed": seed,
            **({"response_format": {"type": "json_object"}} if as_json else {}),
        }
        key = digest_json(request)
        answer = self._journal.find(key)
        if answer is None:
            answer = self._send(request)
            self._journal.add(key, answer)
        return _judge(**answer)

    def _send(self, request: dict[str, object]) -> dict[str, str | None]:
        with self._lock:
            self.requests_sent += 1
        completion: ChatCompletion | None = None
        try:
            completion = self._client.post("/chat/completions", body=request, cast_to=ChatCompletion)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            found = f"the generator refused the key (HTTP {error.status_code})"
            raise UserError(Problem(self._settings.api_key_env, found, "a valid key")) from None
        except openai.APIStatusError as error:
            what = f"HTTP {error.status_code} ({type(error).__name__})"
            raise StageFailed(f"the generator answered {what}; {AGAIN}") from None
        except openai.APIConnectionError as error:
            raise StageFailed(f"the generator cannot be reached ({type(error).__name__}); {AGAIN}") from None
        except json.JSONDecodeError:
            pass
        if not isinstance(completion, ChatCompletion):  # the client hands a web page or a bare string through
            raise StageFailed(f"the generator sent no chat completion; check generator.base_url; {AGAIN}")
        # The client checks nothing: null texts and `choices: []` come back as success.
        if not completion.choices:
            return {"text": None, "finish_reason": None}
        choice = completion.choices[0]
        return {"text": choice.message.content if choice.message else None, "finish_reason": choice.finish_reason}


def _judge(text: str | None, finish_reason: str | None) -> Reply:
    if text is None:
        return Reply("", "no text in the reply")
    if finish_reason != "stop":
        return Reply("", f"reply not finished ({finish_reason})")
    return Reply(text.strip(), None if text.strip() else "empty reply")


@contextmanager
def connect(settings: Generator, journal_path: Path, seed: int) -> Iterator[Writer]:
    """A writer for the recipe's generator; starts and stops the scripted expert where the recipe names it."""
    scripted = settings.server == "scripted-expert"
    key = "no-key-needed" if scripted else _read_key(settings.api_key_env)
    # The client's default follows redirects to any host and sends the prompt there again.
    http = openai.DefaultHttpx2Client(follow_redirects=False, trust_env=not scripted, timeout=TIMEOUT_SECONDS)
    with (
        closing(Journal(journal_path)) as journal,
        serve_expert(seed) if scripted else nullcontext(settings.base_url) as base_url,
        openai.OpenAI(
            api_key=key, base_url=base_url, max_retries=2, timeout=TIMEOUT_SECONDS, http_client=http
        ) as client,
    ):
        yield Writer(client, settings, journal)


def _read_key(name: str) -> str:
    key = os.environ.get(name)
    if not key:
        where, hint = f"environment variable {name}", f"export {name}=…"
        raise UserError(Problem(where, "not set", "the generator's API key", hint))
    return key
