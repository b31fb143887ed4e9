"""Rows as Axolotl reads them, proved on tokens before anything trains: one border, one `<bos>`, the stop token last.

Every stage trains on (prompt, answer) pairs rendered by the one template; only the answer is trained. Rows longer
than `sequence_len` are left out here and counted, because Axolotl would drop them with less to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stemma.errors import GateFailed
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow, mcq_answer, mcq_prompt
from stemma.templates import Template, answered

Row = SftRow | PreferenceRow | McqRow | CorpusRow
ROWS: dict[str, type[Row]] = {"base": CorpusRow, "sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}
"""The kind of row a training stage reads."""

Tokenize = Callable[[list[str]], list[list[int]]]
"""Texts to token ids, special tokens parsed and none added."""


@dataclass(frozen=True)
class Sample:
    """One row: what its answers continue, and them (SFT one, DPO chosen and rejected)."""

    id: str
    prompt: str
    answers: tuple[str, ...]

    def axolotl(self, added: str) -> dict[str, Any]:
        """The row in the shape its Axolotl dataset type wants. `added` is what the tokenizer itself puts in front:
        TRL lets it (and then holds two `<bos>`), `input_output` does not."""
        if len(self.answers) == 2:
            chosen, rejected = self.answers
            return {"prompt": self.prompt.removeprefix(added), "chosen": chosen, "rejected": rejected}
        return {"segments": [{"label": False, "text": self.prompt}, {"label": True, "text": self.answers[0]}]}


@dataclass(frozen=True)
class TokenSequence:
    """The token ids of one prompt with one answer; training starts at `border`."""

    ids: tuple[int, ...]
    border: int


@dataclass(frozen=True)
class Part:
    """The rows of one file that will train, their token sequences, and what was counted."""

    samples: list[Sample]
    sequences: set[TokenSequence]
    counts: dict[str, int]


def sample(row: Row, template: Template) -> Sample:
    """A data row, rendered."""
    if isinstance(row, CorpusRow):
        return Sample(row.id, template.bos, (row.text + template.eos,))
    if isinstance(row, PreferenceRow):
        (prompt, chosen), (_, rejected) = (template.split(answered(row.prompt, a)) for a in (row.chosen, row.rejected))
        return Sample(row.id, prompt, (chosen, rejected))
    messages = row.messages if isinstance(row, SftRow) else answered(mcq_prompt(row), mcq_answer(row, row.answer))
    prompt, answer = template.split(messages)
    return Sample(row.id, prompt, (answer,))


def prove(samples: Sequence[Sample], tokenize: Tokenize, bos: str, stop: str, longest: int) -> Part:
    """The samples that fit, after checking every one on tokens. Raises GateFailed with the figures."""
    bos_id, stop_id = _single(bos, tokenize) if bos else None, _single(stop, tokenize)
    pairs = [(s, answer) for s in samples for answer in s.answers]
    prompts = tokenize([s.prompt for s, _ in pairs])
    answers = tokenize([answer for _, answer in pairs])
    wholes = tokenize([s.prompt + answer for s, answer in pairs])
    faults = [
        f"{s.id}: {fault}"
        for (s, _), prompt, answer, whole in zip(pairs, prompts, answers, wholes, strict=True)
        if (fault := _fault((prompt, answer, whole), bos_id, stop_id))
    ]
    if faults:
        first = "; ".join(faults[:3])
        raise GateFailed(f"{len(faults)} of {len(pairs)} sequences are not what the template says: {first}")
    long = {s.id for (s, _), whole in zip(pairs, wholes, strict=True) if len(whole) > longest}
    kept = [
        TokenSequence(tuple(whole), len(prompt))
        for (s, _), prompt, whole in zip(pairs, prompts, wholes, strict=True)
        if s.id not in long
    ]
    counts = {
        "rows": len(samples) - len(long),
        "left_out_longer_than_sequence_len": len(long),
        "tokens": sum(len(s.ids) for s in kept),
        "trained_tokens": sum(len(s.ids) - s.border for s in kept),
    }
    return Part([s for s in samples if s.id not in long], set(kept), counts)


def _single(token: str, tokenize: Tokenize) -> int:
    [ids] = tokenize([token])
    if len(ids) != 1:
        raise GateFailed(f"the template's {token!r} is {len(ids)} tokens in this tokenizer, not one special token")
    return ids[0]


def _fault(ids: tuple[list[int], list[int], list[int]], bos: int | None, stop: int) -> str | None:
    prompt, answer, whole = ids
    if whole != prompt + answer:
        return "its prompt and answer tokenize differently apart and together"
    if bos is not None and (whole[0] != bos or whole.count(bos) != 1):
        return f"{whole.count(bos)} <bos> tokens, and it starts with id {whole[0]}"
    if answer[-1] != stop or answer.count(stop) != 1:
        return f"{answer.count(stop)} stop tokens in the answer, which ends with id {answer[-1]}"
    if len(answer) < 2:
        return "an empty answer"
    return None
