"""Rows as Axolotl reads them, proved on tokens before anything trains: one border, one `<bos>`, the stop token last.

Every stage trains on (prompt, answer) pairs rendered by the one template; only the answer is trained. Rows longer
than `sequence_len` are left out here and counted, because Axolotl would drop them with less to say.
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

ROWS: dict[str, type[Row]] = {"base": CorpusRow, "sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}
"""The kind of row a training stage reads."""

Tokenize = Callable[[list[str]], list[list[int]]]
"""Texts to token ids, special tokens parsed and none added."""
COUNTED = ("rows", "left_out_longer_than_sequence_len", "tokens", "trained_tokens")
AT_A_TIME = 1000
"""Rows tokenized together: enough for all cores, and never the tokens of a whole data set at once."""


def tokenizing(tokenizer: Any) -> Tokenize:
    """How a `tokenizers.Tokenizer` (transformers' backend is one) tokenizes, on all cores and without offsets."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


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


Proved = tuple[Sample, list[TokenSequence]]


@dataclass(frozen=True)
class Part:
    """The rows of one file that will train, their token sequences, and what was counted."""

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
    """Raises UserError where a text holds a special token, which the model would read as a command.

    The data stage drops such rows, unless the model's tokenizer was not on this machine yet."""
    if not special:
        return
    pattern = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))
    found = [(row.id, hit[0]) for row in rows if (hit := pattern.search("\n".join(contents(row))))]
    if found:
        first, token = found[0]
        told = f"{len(found):,} rows hold a special token of the model in their text: `{token}` in {first}"
        hint = "build the data again, with --force (FORCE=1): now that the tokenizer is known, such rows are dropped"
        raise UserError(Problem(str(path), told, "text that is no command to the model", hint))


def prove(samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str, longest: int) -> Part:
    """The samples that fit, after checking every one on tokens. Raises GateFailed with the figures."""
    counts = dict.fromkeys(COUNTED, 0)
    fitting = list(_fitting(_proved(samples, tokenize, bos, stop), longest, counts))
    return Part([s for s, _ in fitting], {q for _, sequences in fitting for q in sequences}, counts)


def count(samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str, longest: int) -> dict[str, int]:
    """The same checks and counts as `prove`, holding on to nothing: for a look before anything trains."""
    counts = dict.fromkeys(COUNTED, 0)
    for _ in _fitting(_proved(samples, tokenize, bos, stop), longest, counts):
        pass
    return counts


def _fitting(proved: Iterable[Proved], longest: int, counts: dict[str, int]) -> Iterator[Proved]:
    for sample, sequences in proved:
        if max(len(sequence.ids) for sequence in sequences) > longest:
            counts["left_out_longer_than_sequence_len"] += 1
            continue
        counts["rows"] += 1
        counts["tokens"] += sum(len(sequence.ids) for sequence in sequences)
        counts["trained_tokens"] += sum(len(sequence.ids) - sequence.border for sequence in sequences)
        yield sample, sequences


def _proved(samples: Iterable[Sample], tokenize: Tokenize, bos: str, stop: str) -> Iterator[Proved]:
    """The samples with their tokens. Raises GateFailed at the end, when all faults are known."""
    bos_id, stop_id = _single(bos, tokenize) if bos else None, _single(stop, tokenize)
    faults, seen, waiting = [], 0, iter(samples)
    while some := list(islice(waiting, AT_A_TIME)):
        seen += sum(len(s.answers) for s in some)
        prompts = _tokens({s.prompt for s in some}, tokenize)  # many rows share one
        answers = _tokens({answer for s in some for answer in s.answers}, tokenize)
        wholes = iter(tokenize([s.prompt + answer for s in some for answer in s.answers]))
        for s in some:
            sequences = []
            for answer in s.answers:
                whole, prompt = next(wholes), prompts[s.prompt]
                if fault := _fault((prompt, answers[answer], whole), bos_id, stop_id):
                    faults.append(f"{s.id}: {fault}")
                sequences.append(TokenSequence(tuple(whole), len(prompt)))
            yield s, sequences
    if faults:
        first = "; ".join(faults[:3])
        raise GateFailed(f"{len(faults)} of {seen} sequences are not what the template says: {first}")


def _tokens(texts: set[str], tokenize: Tokenize) -> dict[str, list[int]]:
    distinct = list(texts)
    return dict(zip(distinct, tokenize(distinct), strict=True))


def _single(token: str, tokenize: Tokenize) -> int:
    if not token:
        raise GateFailed("the template ends an answer with nothing: it writes eos_token, and this tokenizer names none")
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
