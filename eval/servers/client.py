"""The client of a served variant: the generator's own, which also asks for log-probabilities.

Connection, rate limits, retries and what may be told of an error are the generator's. Nothing goes
into its ledger: samples are kept as every variant's are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar

from eval.servers.echo import Echo, read_echo
from stemma.digests import digest_json
from stemma.errors import Problem, StageFailed, UserError
from stemma.generator.accounting import Accounting
from stemma.generator.client import (
    ChatClient,
    ModelServer,
    PromptRefused,
    RetryableError,
    connect,
    server_of,
)
from stemma.generator.ledger import Ledger, LedgerEntry
from stemma.generator.limits import RateLimiter
from stemma.generator.requests import ChatRequest, Completion, TokenUsage
from stemma.generator.sending import DirectSender
from stemma.recipe.eval_servers import EvalServer
from stemma.recipe.generator import Generator
from stemma.rows import Message

PAUSES = (0.25, 0.5)
"""Seconds before a first request is asked again."""


class ServedModel(Generator):
    """The generator's settings for a model that is scored."""

    place: ClassVar[str] = "eval.servers"
    called: ClassVar[str] = "server"


@dataclass(frozen=True)
class EchoCompletion(Completion):
    """A completion that repeats the text it was asked to go on with, token by token."""

    echo: Echo | None = None


class _Unkept(Ledger):
    """A ledger that keeps nothing."""

    def __init__(self) -> None:
        pass

    def find(self, key: str) -> LedgerEntry | None:
        return None

    def add(self, replies: Iterable[tuple[ChatRequest, LedgerEntry]]) -> None:
        for _ in replies:
            pass


class ServedClient(ChatClient):
    """An open connection: chat completions, and texts with their log-probabilities."""

    async def complete(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """The completion and the reply's headers; of a text an EchoCompletion.

        Raises RetryableError (also for a reply without an end), UserError or StageFailed.
        """
        if "prompt" in request.body:
            return await self._echoed(request)
        completion, headers = await super().complete(request)
        reason = completion.finish_reason
        if reason is None:  # no choice at all, or a reply that was cut on its way
            raise RetryableError("no completion", headers, may_be_billed=True)
        if reason == "context_length_exceeded" or reason == "string_above_max_length":
            raise StageFailed(f"a prompt is longer than the server takes ({reason})")
        return completion, headers

    async def _echoed(self, request: ChatRequest) -> tuple[EchoCompletion, Mapping[str, str]]:
        try:
            body, headers = await self.post("/completions", request.body)
        except PromptRefused as refused:
            raise StageFailed(f"the server refuses a text ({refused.code})") from None
        if not isinstance(body, dict) or not body.get("choices"):
            raise RetryableError("no completion", headers, may_be_billed=True)
        echo = read_echo(body)
        usage = TokenUsage(0, 0, 0)
        return EchoCompletion(None, None, "stop", str(body.get("model")), usage, echo), headers


@dataclass(frozen=True)
class Asking:
    """An open connection over which many requests are asked at once."""

    name: str
    server: EvalServer
    sender: DirectSender
    sending: asyncio.Task[None]

    async def reply(self, messages: Iterable[Message], max_tokens: int) -> Completion:
        """The greedy reply to a conversation."""
        entry = await self.sender.submit(chat_request(self.server, messages, max_tokens))
        return entry.completion

    async def echo(self, text: str) -> Echo:
        """The text's tokens and their log-probabilities. Raises UserError where there are none."""
        entry = await self.sender.submit(echo_request(self.server, text))
        return echo_in(entry.completion, self.name)

    async def finish(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Returns when all work is done. Raises what stops any of it, or the sending."""
        tasks = [asyncio.create_task(work) for work in works]
        done = asyncio.gather(*tasks)
        try:
            # The sending ends by an error alone.
            watched: list[asyncio.Future[Any]] = [done, self.sending]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self.sending.done():
                self.sending.result()
            await done
        finally:
            # What is in flight may be paid for: its replies are taken first.
            await self.sender.wait_for_in_flight()
            for task in tasks:
                task.cancel()
            await asyncio.gather(done, *tasks, return_exceptions=True)


def echo_in(completion: Completion, name: str) -> Echo:
    """The echo that a completion holds. Raises UserError where it holds none."""
    echo = completion.echo if isinstance(completion, EchoCompletion) else None
    if echo is None:
        raise UserError(no_log_probs(name))
    return echo


def no_log_probs(name: str) -> Problem:
    """The problem of a server that says nothing of a text's tokens."""
    return Problem(
        f"eval.servers.{name}",
        "the server gives no log-probabilities of a text it is sent",
        "`/completions` with `echo` and `logprobs`, as vLLM and llama-cpp-python have it",
        f"start it so that it does, or leave only `generation` in eval.servers.{name}.tasks",
    )


def chat_request(server: EvalServer, messages: Iterable[Message], max_tokens: int) -> ChatRequest:
    """A conversation to go on with, greedily."""
    said = [message.model_dump() for message in messages]
    return _request(server, {"messages": said, "max_tokens": max_tokens})


def echo_request(server: EvalServer, text: str) -> ChatRequest:
    """A text to score: it comes back token by token, and one token more, since not every server
    writes none."""
    return _request(server, {"prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1})


def _request(server: EvalServer, body: dict[str, Any]) -> ChatRequest:
    whole = {"model": server.model, "temperature": 0.0, **body, **server.parameters}
    sent = {name: value for name, value in whole.items() if value is not None}
    return ChatRequest(digest_json(sent), sent)


def generator_of(server: EvalServer) -> Generator:
    """The settings that the generator's client takes."""
    return ServedModel(
        base_url=server.base_url,
        model=server.model,
        api_key_env=server.api_key_env,
        concurrency=server.concurrency,
        timeout_seconds=server.timeout_seconds,
        limits=server.limits,
    )


@asynccontextmanager
async def connected(server: EvalServer) -> AsyncIterator[ServedClient]:
    """A connection. Raises UserError without a key."""
    settings = generator_of(server)
    found: ModelServer = server_of(settings)
    async with connect(settings, found, ServedClient) as client:
        assert isinstance(client, ServedClient)
        yield client


@asynccontextmanager
async def asking(name: str, server: EvalServer) -> AsyncIterator[Asking]:
    """A connection that bears many requests at once, by the server's limits."""
    limiter = RateLimiter(server.limits, server.concurrency, monotonic())
    async with connected(server) as client:
        accounting = Accounting(_Unkept(), generator_of(server))
        sender = DirectSender(client, limiter, accounting, seed=0)
        sending = asyncio.create_task(sender.run(_at_once))
        try:
            yield Asking(name, server, sender, sending)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _at_once() -> None:
    """Nothing to wait for: no ledger answers first."""


async def promptly(client: ServedClient, request: ChatRequest) -> Completion:
    """The reply to a single request, asked again a few times. Raises StageFailed or UserError."""
    for pause in (*PAUSES, None):
        try:
            return (await client.complete(request))[0]
        except RetryableError as error:
            if pause is None:
                raise StageFailed(f"the server gave no answer ({error.reason})") from None
            await asyncio.sleep(pause)
    raise AssertionError("the last pause raises")
