"""Rows as Axolotl reads them, checked on tokens before anything trains.

Every stage trains on (prompt, answer) pairs rendered by the one template; only the answer is
trained. Each must have one border between prompt and answer, one `<bos>`, and the stop token last.
Rows longer than `sequence_len` are left out here and counted, because Axolotl would drop them with
less to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stemma.errors import GateFailed, Problem, UserError
from stemma.rows import CorpusRow, McqRow, PreferenceRow, Row, SftRow
from stemma.templates import Template, conversations_of, rendered

ROWS: dict[str, type[Row]] = {
    "base": CorpusRow,
    "sft": SftRow,
    "dpo": PreferenceRow,
    "mcq": McqRow,
}
"""The kind of row a training stage reads."""

Tokenize = Callable[[list[str]], list[list[int]]]
"""Texts to token ids, special tokens parsed and none added."""
COUNTED = ("rows", "left_out_longer_than_sequence_len", "tokens", "trained_tokens")
AT_A_TIME = 1000
"""Rows tokenized together: enough for all cores, never the tokens of a whole data set at once."""


def tokenizing(tokenizer: Any) -> Tokenize:
    """The `Tokenize` of a `tokenizers.Tokenizer` (transformers' backend is one), on all cores."""
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(texts: list[str]) -> list[list[int]]:
        # Fast: without the offsets of the tokens in the text.
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [one.ids for one in encoded]

    return tokenize


@dataclass(frozen=True)
class Sample:
    """One row, rendered: a prompt, and the answers that continue it."""

    id: str
    prompt: str
    answers: tuple[str, ...]
    """Of SFT one, of DPO chosen and rejected."""

    def axolotl(self, added: str) -> dict[str, Any]:
        """The row in the shape its Axolotl dataset type wants.

        `added` is what the tokenizer itself puts in front: TRL lets it (and would then hold two
        `<bos>`), `input_output` does not.
        """
        if len(self.answers) == 2:
            chosen, rejected = self.answers
            prompt = self.prompt.removeprefix(added)
            return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        [answer] = self.answers
        return {
            "segments": [{"label": False, "text": self.prompt}, {"label": True, "text": answer}]
        }


@dataclass(frozen=True)
class TokenSequence:
    """The token ids of one prompt with one answer; training starts at `border`."""

    ids: tuple[int, ...]
    border: int


Checked = tuple[Sample, list[TokenSequence]]


@dataclass(frozen=True)
class Split:
    """The rows of train or validation: those that will train, as tokens, and the counts of all."""

    samples: list[Sample]
    sequences: set[TokenSequence]
    counts: dict[str, int]


def sample(row: Row, template: Template) -> Sample:
    """A data row, rendered."""
    text = rendered(row, template)
    return Sample(row.id, text.prompt, text.answers)


def contents(row: Row) -> list[str]:
    """The texts of a row that a template is put around."""
    if isinstance(row, CorpusRow):
        return [row.text]
    first, *others = conversations_of(row)
    return [message.content for message in first] + [other[-1].content for other in others]


def refuse_special(rows: Iterable[Row], special: Sequence[str], path: Path) -> None:
    """Refuse texts that hold a special token, which the model would read as a command.

    The data stage drops such rows, unless the model's tokenizer was not on this machine yet. Raises
    UserError.
    """
    if not special:
        return
    longest_first = sorted(special, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    found = [(row.id, hit[0]) for row in rows if (hit := pattern.search("\n".join(contents(row))))]
    if found:
        first, token = found[0]
        rows_told = f"{len(found):,} rows hold a special token of the model in their text"
        again = "build the data again, with --force (FORCE=1)"
        raise UserError(
            Problem(
                str(path),
                f"{rows_told}: `{token}` in {first}",
                "text that is no command to the model",
                f"{again}: now that the tokenizer is known, such rows are dropped",
            )
        )


def prove(
    samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str, longest: int
) -> Split:
    """The samples of at most `longest` tokens, after checking every one.

    `bos` is the template's first token (empty: it writes none), `stop` its last. Raises GateFailed
    with the figures.
    """
    counts = dict.fromkeys(COUNTED, 0)
    checked = _checked(samples, tokenize, bos, stop)
    fitting = list(_fitting(checked, longest, counts))
    return Split(
        samples=[one for one, _ in fitting],
        sequences={sequence for _, sequences in fitting for sequence in sequences},
        counts=counts,
    )


def count(
    samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str, longest: int
) -> dict[str, int]:
    """The same checks and counts as `prove`, holding on to nothing: before anything trains."""
    counts = dict.fromkeys(COUNTED, 0)
    for _ in _fitting(_checked(samples, tokenize, bos, stop), longest, counts):
        pass
    return counts


def _fitting(checked: Iterable[Checked], longest: int, counts: dict[str, int]) -> Iterator[Checked]:
    """The samples that are short enough; adds all to `counts`."""
    for one, sequences in checked:
        if max(len(sequence.ids) for sequence in sequences) > longest:
            counts["left_out_longer_than_sequence_len"] += 1
            continue
        tokens = sum(len(sequence.ids) for sequence in sequences)
        prompts = sum(sequence.border for sequence in sequences)
        counts["rows"] += 1
        counts["tokens"] += tokens
        counts["trained_tokens"] += tokens - prompts
        yield one, sequences


def _checked(
    samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str
) -> Iterator[Checked]:
    """The samples with their tokens. Raises GateFailed at the end, when all faults are known."""
    bos_id = _single(bos, tokenize) if bos else None
    stop_id = _single(stop, tokenize)
    faults = []
    seen = 0
    waiting = iter(samples)
    while some := list(islice(waiting, AT_A_TIME)):
        seen += sum(len(one.answers) for one in some)
        prompts = _tokens({one.prompt for one in some}, tokenize)  # many rows share one
        answers = _tokens({answer for one in some for answer in one.answers}, tokenize)
        together = tokenize([one.prompt + answer for one in some for answer in one.answers])
        wholes = iter(together)
        for one in some:
            prompt = prompts[one.prompt]
            sequences = []
            for answer in one.answers:
                whole = next(wholes)
                if fault := _fault(prompt, answers[answer], whole, bos_id, stop_id):
                    faults.append(f"{one.id}: {fault}")
                sequences.append(TokenSequence(tuple(whole), len(prompt)))
            yield one, sequences
    if faults:
        first = "; ".join(faults[:3])
        counted = f"{len(faults)} of {seen} sequences are not what the template says"
        raise GateFailed(f"{counted}: {first}")


def _tokens(texts: set[str], tokenize: Tokenize) -> dict[str, list[int]]:
    distinct = list(texts)
    return dict(zip(distinct, tokenize(distinct), strict=True))


def _single(token: str, tokenize: Tokenize) -> int:
    """The id of a special token. Raises GateFailed where the tokenizer has no such token."""
    if not token:
        unnamed = "it writes eos_token, and this tokenizer names none"
        raise GateFailed(f"the template ends an answer with nothing: {unnamed}")
    [ids] = tokenize([token])
    if len(ids) != 1:
        found = f"{len(ids)} tokens in this tokenizer, not one special token"
        raise GateFailed(f"the template's {token!r} is {found}")
    return ids[0]


def _fault(
    prompt: list[int], answer: list[int], whole: list[int], bos: int | None, stop: int
) -> str | None:
    """The fault of a prompt and an answer, tokenized apart and together; None: nothing."""
    if whole != prompt + answer:
        return "its prompt and answer tokenize differently apart and together"
    if bos is not None and (whole[0] != bos or whole.count(bos) != 1):
        return f"{whole.count(bos)} <bos> tokens, and it starts with id {whole[0]}"
    if answer[-1] != stop or answer.count(stop) != 1:
        last = f"which ends with id {answer[-1]}"
        return f"{answer.count(stop)} stop tokens in the answer, {last}"
    if len(answer) < 2:
        return "an empty answer"
    return None
