"""Our engines as a model of lm-evaluation-harness, by the rules of its own `hf` model.

Context and continuation are tokenised together and cut where the context alone ends; spaces at the
context's end belong to the continuation; a context too long for the window loses its left end, and
is counted. One rule is not kept: in rolling log-likelihood `hf` lets the first token be predicted
behind itself where the tokenizer adds one (its issue 3333), here it is no part of the text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from eval.backends.interface import Ids
from eval.harness.engine import Answer, Continuation, Engine, Writing
from stemma.errors import Problem, UserError
from stemma.rows import Message
from stemma.templates import Template

MAX_WRITTEN = 256
"""Tokens written where a task names no number: lm-evaluation-harness's own default."""
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names a task may give that number, the first one first."""
GREEDY = {"until", "do_sample", "temperature", "top_p", "top_k", *LENGTHS}
"""Settings of a generation that greedy decoding heeds or may leave aside."""


class EngineLM(LM):
    """An engine that answers lm-evaluation-harness's three kinds of requests."""

    tokenizer_name = "stemma"

    def __init__(self, engine: Engine, template: Template, window: int | None = None) -> None:
        super().__init__()
        self._engine = engine
        self._template = template
        self._window = min(window or engine.window, engine.window)
        self.counts: Counter[str] = Counter()
        """Requests by kind; how many were cut to the window; how many were empty."""
        self._digest = hashlib.sha256()

    @property
    def tokens_digest(self) -> str:
        """Sixteen hexadecimal digits for all token ids so far: equal for every engine."""
        return self._digest.hexdigest()[:16]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[Answer]:
        """(log-probability, is it what greedy decoding would write) of each continuation."""
        self.counts["loglikelihood"] += len(requests)
        pairs = [self._pair(*request.args) for request in requests]
        return self._score([self._continuation(*pair) for pair in pairs])

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Log-probability of each whole text, in windows of which each token is predicted once."""
        self.counts["rolling"] += len(requests)
        windows: list[list[Continuation | None]] = []
        for request in requests:
            parts = get_rolling_token_windows(
                token_list=self._engine.tokenize(request.args[0]),
                prefix_token=self._engine.begin.empty,
                max_seq_len=self._window,
                context_len=1,
            )
            windows.append([self._continuation(*make_disjoint_window(part)) for part in parts])
        answers = iter(self._score([part for parts in windows for part in parts]))
        return [sum(next(answers)[0] for _ in parts) for parts in windows]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Greedy text behind each context, cut before its first stop string."""
        self.counts["generate_until"] += len(requests)
        return self._engine.write([self._writing(*request.args) for request in requests])

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The conversation as the project's one template writes it."""
        messages = [Message.model_validate(message) for message in chat_history]
        if add_generation_prompt:
            return self._template.render(messages, ask=True)
        # The last message is the beginning of an answer, which the model goes on with.
        begun = messages[-1].content
        return self._template.render(messages[:-1], ask=True) + begun

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The template's text, for the record."""
        return self._template.text if chat_template else ""

    def _score(self, wanted: list[Continuation | None]) -> list[Answer]:
        answers = iter(self._engine.score([one for one in wanted if one is not None]))
        # Nothing is certain, whatever stands before it.
        return [(0.0, True) if one is None else next(answers) for one in wanted]

    def _pair(self, context: str, continuation: str) -> tuple[Ids, Ids]:
        begin = self._engine.begin
        if not context:
            tokens = self._engine.tokenize(continuation)
            if tokens[:1] == [begin.empty]:
                return tokens[:1], tokens[1:]
            return [begin.empty], tokens
        text = context.rstrip()
        continuation = context[len(text) :] + continuation
        known = self._encode(text)
        whole = self._encode(text + continuation)
        return known or [begin.empty], whole[len(known) :]

    def _encode(self, text: str) -> Ids:
        """Token ids with what the tokenizer puts before them, which is never put there twice."""
        begin = self._engine.begin
        has_first = bool(begin.text) and text.startswith(begin.text)
        return ([] if has_first else begin.first) + self._engine.tokenize(text)

    def _continuation(self, context: Ids, tokens: Ids) -> Continuation | None:
        self._digest.update(repr((context, tokens)).encode())
        if not tokens:
            self.counts["empty continuations"] += 1
            return None
        if len(tokens) > self._window:
            found = f"a continuation of {len(tokens)} tokens"
            expected = f"no more than the model's window of {self._window}"
            raise UserError(Problem("eval.benchmarks", found, expected))
        whole = (context + tokens)[-(self._window + 1) :]
        self.counts["cut to the window"] += len(whole) < len(context) + len(tokens)
        border = len(whole) - len(tokens)
        return Continuation(tuple(whole[:border]), tuple(whole[border:]))

    def _writing(self, context: str, settings: dict[str, Any]) -> Writing:
        refuse_sampling(settings)
        tokens = next((int(settings[name]) for name in LENGTHS if name in settings), MAX_WRITTEN)
        if tokens >= self._window:
            found = f"a task asks for {tokens} new tokens"
            expected = f"less than the model's window of {self._window}"
            raise UserError(Problem("eval.benchmarks", found, expected))
        until = settings.get("until") or []
        stops = tuple(stop for stop in ([until] if isinstance(until, str) else until) if stop)
        ids = self._encode(context) or [self._engine.begin.empty]
        kept = ids[-(self._window - tokens) :]
        self.counts["cut to the window"] += len(kept) < len(ids)
        self._digest.update(repr(kept).encode())
        return Writing(kept, tokens, stops)


def refuse_sampling(settings: dict[str, Any]) -> None:
    """Raises UserError for settings that greedy decoding cannot heed."""
    samples = bool(settings.get("do_sample"))
    is_warm = float(settings.get("temperature") or 0) > 0 and settings.get("do_sample") is not False
    unknown = sorted(settings.keys() - GREEDY)
    if samples or is_warm or unknown:
        named = {name: settings[name] for name in settings if name != "until"}
        found = f"a task asks for generation with {named}"
        hint = (
            "delete these settings in its YAML: an answer is written greedily, so that it repeats"
        )
        expected = f"greedy decoding: {', '.join(sorted(GREEDY))}"
        raise UserError(Problem("eval.benchmarks", found, expected, hint))
