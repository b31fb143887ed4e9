"""The client of a chat model's server: sends a request, and tells what went wrong.

The one file that knows the `openai` package, which hands everything through unchecked, retries what
costs money, and follows redirects to any host with the prompt in hand. So here it does neither, and
its exceptions become three kinds of our own: `RetryableError` (ask again), `UserError` (the
settings), `StageFailed` (the server). The key is taken out of all that the server says.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types import Batch
from pydantic import BaseModel

from stemma.credentials import Credentials, of_proxies
from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.discreet import DiscreetClient
from stemma.generator.requests import (
    PROMPT_ERRORS,
    ChatRequest,
    Completion,
    read_completion,
    refused_completion,
)
from stemma.recipe.addresses import is_this_machine
from stemma.recipe.generator import Generator

OPENAI = "https://api.openai.com/v1"
RUN_AGAIN = "answers so far are kept: run the same command again to resume"
FREE_RETRIES = 8
"""The package's own retries, for what is free and may be repeated: looking after a batch."""
KEY_FRAGMENT = 6
"""Characters of the key in a row that give it away."""


@dataclass(frozen=True)
class ModelServer:
    """The server that requests go to."""

    base_url: str | None
    """None: OpenAI's own."""
    api_key: str = field(repr=False)
    identity: str | None = None
    """Part of every ledger key, where equal requests have other answers than elsewhere."""


@dataclass(eq=False)
class RetryableError(Exception):
    """No reply this time. `may_be_billed`: the request arrived, and may have been answered."""

    reason: Literal["rate limit", "server error", "no connection", "time-out", "no completion"]
    headers: Mapping[str, str] = field(default_factory=dict)
    may_be_billed: bool = False


@dataclass(eq=False)
class PromptRefused(Exception):
    """The server finds fault with this prompt alone. `code` is one of PROMPT_ERRORS."""

    code: str


def server_of(settings: Generator) -> ModelServer:
    """The server that the recipe names by its address. Raises UserError without a key."""
    return ModelServer(settings.base_url, read_key(settings.api_key_env))


def read_key(name: str) -> str:
    """The API key, from the environment only."""
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and key.isprintable() and key) or " " in key:
        where = f"environment variable {name}"
        found = "not set" if not key else "holds characters that no key has"
        hint = f"export {name}=… (anything, for a server that asks for none)"
        raise UserError(Problem(where, found, "the generator's API key", hint))
    return key


@cache
def response_format(schema: type[BaseModel], how: Literal["schema", "object"]) -> dict[str, Any]:
    """The request parameter that makes a server keep to a schema: OpenAI's, or llama.cpp's.

    It holds the schema's name and docstrings, and is part of the ledger's key.
    """
    if how == "object":
        return {"type": "json_object", "schema": schema.model_json_schema()}
    parameters = openai.pydantic_function_tool(schema)["function"]["parameters"]
    name = schema.__name__.strip("_")
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": parameters},
    }


@asynccontextmanager
async def connect(
    settings: Generator, server: ModelServer, kind: type[ChatClient] | None = None
) -> AsyncIterator[ChatClient]:
    """A connection to the server, for one event loop; `kind` of client speaks over it."""
    base_url = server.base_url or OPENAI
    http = DiscreetClient(
        Credentials([server.api_key, *of_proxies()]),
        follow_redirects=False,
        # What is asked of this machine goes through no proxy: it would see the key.
        trust_env=not is_this_machine(urlsplit(base_url).hostname or ""),
        timeout=settings.timeout_seconds,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
    )
    async with openai.AsyncOpenAI(
        api_key=server.api_key,
        base_url=base_url,
        max_retries=0,
        timeout=settings.timeout_seconds,
        http_client=http,
    ) as client:
        yield (kind or ChatClient)(client, settings, server.api_key)


class ChatClient:
    """An open connection: single chat completions, and batches of them."""

    def __init__(self, client: openai.AsyncOpenAI, settings: Generator, key: str) -> None:
        self._client = client
        self._retrying_client = client.with_options(max_retries=FREE_RETRIES)
        self._settings = settings
        self._key = key

    async def complete(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """The completion and the reply's headers.

        Raises RetryableError, UserError or StageFailed.
        """
        try:
            body, headers = await self.post("/chat/completions", request.body)
        except PromptRefused as refused:
            return refused_completion(refused.code, request.body), {}
        completion = read_completion(body, request.body)
        if completion is None:
            raise RetryableError("no completion", headers, may_be_billed=True)
        return completion, headers

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[Any, Mapping[str, str]]:
        """The JSON that the server replies with, None where it is none, and the reply's headers.

        Raises PromptRefused, RetryableError, UserError or StageFailed.
        """
        sent = self._client.post(path, body=dict(body), cast_to=httpx2.Response)
        return await self._received(sent)

    async def show_models(self) -> Any:
        """The JSON of `/models`, likewise; None where the server has no such list."""
        sent = self._client.get("/models", cast_to=httpx2.Response)
        return (await self._received(sent, is_optional=True))[0]

    async def _received(
        self, sent: Awaitable[httpx2.Response], is_optional: bool = False
    ) -> tuple[Any, Mapping[str, str]]:
        try:
            with self._translated_errors():
                # The time in all; the package's own time-out counts from byte to byte.
                reply = await asyncio.wait_for(sent, self._settings.timeout_seconds)
        except TimeoutError:
            raise RetryableError("time-out", may_be_billed=True) from None
        except UserError as error:
            if is_optional and isinstance(error.__context__, openai.NotFoundError):
                return None, {}
            raise
        try:
            return json.loads(reply.content), reply.headers
        except (ValueError, RecursionError):
            return None, reply.headers

    async def create_batch(self, lines: bytes, tag: str) -> Batch:
        """Uploads and creates a batch.

        Creating is never repeated here: it may have worked, and a second batch costs again.
        """
        with self._translated_errors():
            file = await self._retrying_client.files.create(
                file=("requests.jsonl", lines), purpose="batch"
            )
            return await self._client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"stemma": tag},
            )

    async def find_batch(self, tag: str) -> Batch | None:
        """The batch that was created under this tag."""
        with self._translated_errors():
            async for batch in self._retrying_client.batches.list(limit=100):
                if (batch.metadata or {}).get("stemma") == tag:
                    return batch
        return None

    async def show_batch(self, batch_id: str) -> Batch | None:
        """The batch as it stands; None when the server no longer knows it."""
        with self._translated_errors():
            try:
                return await self._retrying_client.batches.retrieve(batch_id)
            except openai.NotFoundError:
                return None

    async def download(self, file_id: str) -> bytes:
        with self._translated_errors():
            return (await self._retrying_client.files.content(file_id)).content

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raises the package's exceptions as our own."""
        try:
            yield
        except openai.APITimeoutError as error:
            reached = not isinstance(error.__cause__, httpx2.ConnectTimeout)
            raise RetryableError("time-out", may_be_billed=reached) from None
        except openai.APIConnectionError as error:
            reached = not isinstance(error.__cause__, httpx2.ConnectError)
            raise RetryableError("no connection", may_be_billed=reached) from None
        except openai.APIStatusError as error:
            raise self._status_error(error) from None

    def _status_error(self, error: openai.APIStatusError) -> Exception:
        """Our own exception for an HTTP status."""
        status = error.status_code
        codes = {self.quote(error.code), self.quote(error.type)}
        if status == 402 or "insufficient_quota" in codes:
            return StageFailed(
                f"the {self._settings.called}'s quota is used up (HTTP {status}, "
                f"insufficient_quota); {RUN_AGAIN}"
            )
        if status == 429:
            return RetryableError("rate limit", error.response.headers)
        if status in (408, 409, 425) or status >= 500:
            return RetryableError("server error", error.response.headers)
        if status in (401, 403):
            found = f"the {self._settings.called} refused the key (HTTP {status})"
            return UserError(Problem(self._settings.api_key_env, found, "a valid key"))
        if faults := codes & PROMPT_ERRORS:
            return PromptRefused(min(faults))
        if status < 400:
            found = f"HTTP {status}: a redirect, which is not followed"
            return UserError(Problem(f"{self._settings.place}.base_url", found))
        found = f"the server refused a request (HTTP {status}): {self.quote(error.message)}"
        called = self._settings.called
        hint = f"check {called}.parameters"
        if status == 404:
            hint = f"check {called}.base_url and {called}.model"
        return UserError(Problem(self._settings.place, found, "a completion", hint))

    def quote(self, text: str | None) -> str:
        """The server's words, unless a fragment of the key may be in them."""
        starts = range(max(1, len(self._key) - KEY_FRAGMENT + 1))
        fragments = {self._key[start : start + KEY_FRAGMENT] for start in starts}
        if any(fragment in (text or "") for fragment in fragments):
            return "(its text may hold the key)"
        return (text or "")[:500]
