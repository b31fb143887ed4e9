"""A GGUF file for benchmarks: llama.cpp, which reads on from what two neighbouring texts share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.backends.interface import Ids
from eval.harness.engine import Answer, Continuation, Writing, cut, has_stopped
from eval.harness.start import Start
from stemma.errors import StageFailed
from stemma.llama import SCORED_BATCH, Llama, Logits, log_softmax

CONTEXT_STEP = 256


class SharedLlama(Llama):
    """A GGUF model that remembers what its context holds, and reads only what is new."""

    held: tuple[int, ...] = ()

    def reach(self, tokens: Sequence[int]) -> None:
        """Bring the context to hold these tokens and no others."""
        known = 0
        for mine, wanted in zip(self.held, tokens, strict=False):
            if mine != wanted:
                break
            known += 1
        self.held = ()  # until it is true again
        self._rewind(known)
        self._read(tokens[known:])
        self.held = tuple(tokens)

    def logits_behind(self, tokens: Sequence[int]) -> Logits:
        """Append tokens; the logits after each."""
        rows = self._score(tokens)
        self.held += tuple(tokens)
        return rows


class GgufEngine:
    """A GGUF file on the CPU, one sequence at a time in the order that shares most."""

    def __init__(self, weights: str, begin: Start, stop: str, threads: int) -> None:
        self._path = Path(weights)
        self._threads = threads
        self._llama = SharedLlama(self._path, CONTEXT_STEP, threads)
        self._stop = self.tokenize(stop)[:1]
        self.begin = begin
        self.window = self._llama.trained_tokens

    @property
    def facts(self) -> dict[str, str]:
        """How it computes, in words."""
        return {"scoring": "one text at a time, what neighbours share read once"}

    def tokenize(self, text: str) -> Ids:
        """Ids of the text; special tokens in it are parsed."""
        return self._llama.tokenize(text)

    def score(self, wanted: Sequence[Continuation]) -> list[Answer]:
        """Log-probability of each continuation, and whether it is the likeliest."""
        if not wanted:
            return []
        llama = self._with_room(max(len(one.read) for one in wanted))
        answers = {
            one: _answer(llama, one) for one in sorted(set(wanted), key=lambda one: one.read)
        }
        return [answers[one] for one in wanted]

    def write(self, wanted: Sequence[Writing]) -> list[str]:
        """Greedy text behind each prompt, cut before its first stop."""
        if not wanted:
            return []
        self._with_room(max(len(one.prompt) + one.tokens for one in wanted))
        texts = {}
        for place in sorted(range(len(wanted)), key=lambda place: wanted[place].prompt):
            texts[place] = self._continue(wanted[place])
        return [texts[place] for place in range(len(wanted))]

    def _continue(self, one: Writing) -> str:
        llama = self._llama
        llama.reach(one.prompt[:-1])
        written: Ids = []
        token = one.prompt[-1]
        while len(written) < one.tokens:
            token = int(llama.logits_behind([token])[-1].argmax())
            if llama.is_end(token) or token in self._stop:
                break
            written.append(token)
            if has_stopped(written, one.stops, llama.detokenize):
                break
        return cut(llama.detokenize(written), one.stops)

    def _with_room(self, tokens: int) -> SharedLlama:
        """The model with a context that holds `tokens`."""
        if tokens > self._llama.context_tokens:
            self._llama.close()
            room = -(-tokens // CONTEXT_STEP) * CONTEXT_STEP
            self._llama = SharedLlama(self._path, room, self._threads)
        return self._llama


def _answer(llama: SharedLlama, one: Continuation) -> Answer:
    llama.reach(one.context[:-1])
    total, greedy = 0.0, True
    said = (one.context[-1], *one.tokens)
    for begin in range(0, len(one.tokens), SCORED_BATCH):
        targets = said[begin + 1 : begin + 1 + SCORED_BATCH]
        rows = log_softmax(llama.logits_behind(said[begin : begin + len(targets)]))
        for row, token in zip(rows, targets, strict=True):
            total += float(row[token])
            greedy = greedy and int(row.argmax()) == token
    if total != total:
        raise StageFailed(f"{llama.path.name}: a log-probability is no number")
    return total, greedy
