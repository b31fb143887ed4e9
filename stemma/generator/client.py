"""The one file that knows the `openai` client: carries requests to a server, and tells what went wrong.

The client hands everything through unchecked, retries what costs money, and follows redirects to any host with the
prompt in hand. So here it does neither, and its exceptions become three kinds of our own: `Hindered` (ask again),
`UserError` (the settings), `StageFailed` (the server). No text of the server that could quote the key is passed on.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import httpx2
import openai
from openai.types import Batch
from pydantic import BaseModel

from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.requests import ROW_ERRORS, Answer, Request, read_completion, refuse_row
from stemma.recipe.generator import Generator

OPENAI = "https://api.openai.com/v1"
AGAIN = "answers so far are kept: run the same command again to go on"
PATIENT_RETRIES = 8
"""The client's own, for what is free and may be repeated: looking after a batch."""
QUOTED = 6
"""So many characters of the key in a row give it away."""


@dataclass(eq=False)
class Hindered(Exception):
    """No reply this time. `may_be_billed`: the request arrived, and the server may have answered it."""

    reason: Literal["rate limit", "server error", "no connection", "time-out", "no completion"]
    headers: Mapping[str, str] = field(default_factory=dict)
    may_be_billed: bool = False


def read_key(name: str) -> str:
    """The API key, from the environment only."""
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and key.isprintable() and key) or " " in key:
        found = "not set" if not key else "holds characters that no key has"
        where, hint = f"environment variable {name}", f"export {name}=… (anything, for a server that asks for none)"
        raise UserError(Problem(where, found, "the generator's API key", hint))
    return key


@cache
def response_format(schema: type[BaseModel], how: Literal["schema", "object"]) -> dict[str, Any]:
    """The request parameter that makes the server keep to a schema: OpenAI's, or llama.cpp's."""
    if how == "object":
        return {"type": "json_object", "schema": schema.model_json_schema()}
    function = openai.pydantic_function_tool(schema)["function"]
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.__name__.strip("_"), "strict": True, "schema": function["parameters"]},
    }


@asynccontextmanager
async def connect(settings: Generator, base_url: str | None, key: str) -> AsyncIterator[Wire]:
    """A connection to the generator's server, for one event loop."""
    http = openai.DefaultAsyncHttpx2Client(
        follow_redirects=False,
        trust_env=settings.server == "openai",  # no proxy stands between us and loopback
        timeout=settings.timeout_seconds,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
    )
    async with openai.AsyncOpenAI(
        api_key=key, base_url=base_url or OPENAI, max_retries=0, timeout=settings.timeout_seconds, http_client=http
    ) as client:
        yield Wire(client, settings, key)


class Wire:
    def __init__(self, client: openai.AsyncOpenAI, settings: Generator, key: str) -> None:
        self._client, self._settings, self._key = client, settings, key
        self._patient = client.with_options(max_retries=PATIENT_RETRIES)

    async def complete(self, request: Request) -> tuple[Answer, Mapping[str, str]]:
        """The answer and the reply's headers. Raises Hindered, UserError or StageFailed."""
        try:
            with self._translated():
                sent = self._client.post("/chat/completions", body=request.body, cast_to=httpx2.Response)
                reply = await asyncio.wait_for(sent, self._settings.timeout_seconds)  # in all, not from byte to byte
        except RefusedRow as refused:
            return refuse_row(refused.code, request.body), {}
        except TimeoutError:
            raise Hindered("time-out", may_be_billed=True) from None
        answer = None if self._key in reply.text and len(self._key) > QUOTED else self._read(reply.content, request)
        if answer is None:
            raise Hindered("no completion", reply.headers, may_be_billed=True)
        return answer, reply.headers

    def _read(self, content: bytes, request: Request) -> Answer | None:
        try:
            return read_completion(json.loads(content), request.body)
        except (ValueError, RecursionError):
            return None

    async def create_batch(self, lines: bytes, tag: str) -> Batch:
        """Uploads and creates. Creating is never repeated here: it may have worked, and a second batch costs again."""
        with self._translated():
            file = await self._patient.files.create(file=("requests.jsonl", lines), purpose="batch")
            return await self._client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"stemma": tag},
            )

    async def find_batch(self, tag: str) -> Batch | None:
        """The batch that was created under this tag."""
        with self._translated():
            async for batch in self._patient.batches.list(limit=100):
                if (batch.metadata or {}).get("stemma") == tag:
                    return batch
        return None

    async def show_batch(self, batch_id: str) -> Batch | None:
        """The batch as it stands; None when the server no longer knows it."""
        with self._translated():
            try:
                return await self._patient.batches.retrieve(batch_id)
            except openai.NotFoundError:
                return None

    async def download(self, file_id: str) -> bytes:
        with self._translated():
            return (await self._patient.files.content(file_id)).content

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APITimeoutError as error:
            reached = not isinstance(error.__cause__, httpx2.ConnectTimeout)
            raise Hindered("time-out", may_be_billed=reached) from None
        except openai.APIConnectionError as error:
            reached = not isinstance(error.__cause__, httpx2.ConnectError)
            raise Hindered("no connection", may_be_billed=reached) from None
        except openai.APIStatusError as error:
            raise self._explain(error) from None

    def _explain(self, error: openai.APIStatusError) -> Exception:
        """What an HTTP status means for us."""
        status, codes = error.status_code, {self.quote(error.code), self.quote(error.type)}
        if status == 402 or "insufficient_quota" in codes:
            return StageFailed(f"the generator's quota is used up (HTTP {status}, insufficient_quota); {AGAIN}")
        if status == 429:
            return Hindered("rate limit", error.response.headers)
        if status in (408, 409, 425) or status >= 500:
            return Hindered("server error", error.response.headers)
        if status in (401, 403):
            found = f"the generator refused the key (HTTP {status})"
            return UserError(Problem(self._settings.api_key_env, found, "a valid key"))
        if rows := codes & ROW_ERRORS:
            return RefusedRow(min(rows))
        if status < 400:
            return UserError(Problem("data.generator.base_url", f"HTTP {status}: a redirect, which is not followed"))
        said = self.quote(error.message)
        hint = "check generator.base_url and generator.model" if status == 404 else "check generator.parameters"
        return UserError(
            Problem("data.generator", f"the server refused a request (HTTP {status}): {said}", "a completion", hint)
        )

    def quote(self, text: str | None) -> str:
        """What the server said, unless any part of the key may be in it."""
        pieces = {self._key[start : start + QUOTED] for start in range(max(1, len(self._key) - QUOTED + 1))}
        return "(its text may hold the key)" if any(piece in (text or "") for piece in pieces) else (text or "")[:500]


@dataclass(eq=False)
class RefusedRow(Exception):
    """The server finds fault with this prompt alone. `code` is one of ROW_ERRORS."""

    code: str
