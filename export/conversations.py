"""The conversations the gates are measured on: test rows of the data stage, rendered as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.jsonl import read_rows
from stemma.rows import McqRow, Message, PreferenceRow, SftRow
from stemma.stages import Work
from stemma.templates import Template, conversations_of

CONTEXT_TOKENS = 512
ANSWER_TOKENS = 32
"""Answer tokens compared of each conversation, at most: Gemma's logits take 1 MB a token."""

Sample = tuple[list[int], int]
"""Ids to feed, and the position from which their logits predict the answer."""


@dataclass(frozen=True)
class TriedConversations:
    """The conversations every exported format is tried on, as Hugging Face's tokenizer sees it."""

    texts: Sequence[tuple[str, str]]
    """(prompt, answer) of every conversation: for the tokenizers."""
    ids: Sequence[list[int]]
    samples: Sequence[Sample]
    """Some of them: for the weights."""
    bos: int | None
    """The id every conversation begins with, where the template writes one."""
    template: Template


def read_trial(work: Work, merged: Path) -> TriedConversations:
    """All test rows, of which `export.gates.prompts` are scored."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(merged)
    template = Template.read(work.recipe.template, merged)
    outputs = work.run.manifest("data").outputs
    files = {
        kind: work.input("data", f"{kind}/test")
        for kind in ("sft", "dpo", "mcq")
        if f"{kind}/test" in outputs
    }
    conversations = from_files(files)
    pairs = [_encode(tokenizer, *template.split(messages)) for messages in conversations]
    is_hard = [_is_hard(messages) for messages in conversations]
    chosen = spread(is_hard, work.recipe.export.gates.prompts)
    return TriedConversations(
        texts=[template.split(messages) for messages in conversations],
        ids=[prompt + answer for prompt, answer in pairs],
        samples=[sample(*pairs[index]) for index in chosen],
        bos=tokenizer.bos_token_id if template.first else None,
        template=template,
    )


def from_files(files: dict[str, Path]) -> list[list[Message]]:
    """All different conversations of the given test files (`{"sft": path, …}`), one from each set
    in turn: pairs share their question and often the chosen answer, and what stands there twice
    proves nothing more."""
    lists = [_read(name, path) for name, path in files.items()]
    longest = max((len(conversations) for conversations in lists), default=0)
    mixed = [
        conversations[i]
        for i in range(longest)
        for conversations in lists
        if i < len(conversations)
    ]
    if not mixed:
        hint = "give a data set a share in `parts.test`"
        raise UserError(Problem("data", "no test rows", "at least one", hint))
    return list({tuple(messages): messages for messages in mixed}.values())


def _read(name: str, path: Path) -> list[list[Message]]:
    kinds: dict[str, type[SftRow | PreferenceRow | McqRow]] = {
        "sft": SftRow,
        "dpo": PreferenceRow,
        "mcq": McqRow,
    }
    return [conversations_of(row)[0] for row in read_rows(path, kinds[name])]


def _encode(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    ids = tokenizer([prompt, answer], add_special_tokens=False)["input_ids"]
    return ids[0], ids[1]


def sample(prompt: list[int], answer: list[int]) -> Sample:
    """The start of a conversation's answer, cut to the tokens that are compared."""
    start = min(len(prompt), CONTEXT_TOKENS) - 1
    return (prompt + answer)[:-1][: min(start + ANSWER_TOKENS, CONTEXT_TOKENS)], start


def spread(is_hard: Sequence[bool], count: int) -> list[int]:
    """The numbers of the `count` conversations to score (or all): half of them hard ones, where
    there are that many."""
    hard = [index for index, value in enumerate(is_hard) if value]
    plain = [index for index, value in enumerate(is_hard) if not value]
    half = count // 2
    return [*hard[:half], *plain, *hard[half:]][:count]


def _is_hard(messages: list[Message]) -> bool:
    """Hard for a tokenizer: not plain ASCII, or LaTeX and other backslashes."""
    text = "".join(message.content for message in messages)
    return not text.isascii() or "\\" in text
