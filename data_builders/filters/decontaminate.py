"""Decontamination: finds evaluation questions in training rows. `gate` decides what follows.

Five rules, the strongest that holds is told:
- `stem and options`: the same question with the same options in any order;
- `stem`: the same question. A stem with options, but without a telling word or number ("Which of
  the following is true?"), says too little;
- `n-gram`: `ngram` (13) consecutive words of the question with its options stand in one text of the
  row;
- `coverage`: `coverage` (half) of its words stand there in runs of 8 or more;
- `sentence`: its stem stands there as a sentence of its own, or several (see whole_stems.py).

Words are compared without case, punctuation, markup and what is drawn as nothing (see as_read.py).
Numbers are words, written out or not ("forty-five" is 45), and for `n-gram` and `coverage` all
numbers of the stem must stand in the text: the same exercise with other numbers is another exercise
(see held_questions.py). Of each row the first MOST questions are told, those by the strongest
rules: rows of one template can hold thousands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from data_builders.filters.as_read import as_read
from data_builders.filters.clean import repair
from data_builders.filters.held_questions import MOST, HeldQuestions, HeldRule
from data_builders.filters.number_words import read_numbers
from data_builders.filters.whole_stems import WholeStems
from data_builders.flow import Placed
from data_builders.split import as_set, choices_in, choices_of, is_generic, question_key
from stemma.recipe.data import Decontaminate
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow

Rule = Literal["stem and options", "stem", "n-gram", "coverage", "sentence"]
RULES: tuple[Rule, ...] = get_args(Rule)

CHARACTERS_AT_ONCE = 2_000_000

_WORDS = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_THOUSANDS = re.compile(r"(\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True)
class EvalQuestion:
    """A question that no training row may hold. `id` names it in its set, e.g. `mcq-0d5f…` or
    `test.csv row 3`."""

    eval_set: str
    id: str
    stem: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a training row that the rules read: its prompt, its answers, its conversation's
    turns."""

    row_id: str
    source: str
    key: str
    choices: frozenset[str]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """An evaluation question that a training row holds, and the rule that found it."""

    row_id: str
    source: str
    eval_set: str
    eval_id: str
    rule: Rule


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers: "It’s 1,000.50 km or forty-five" becomes it, s, 1000.5, km, or,
    45."""
    return _words(as_read(text))


def _words(read: str) -> list[str]:
    words = _WORDS.findall(_THOUSANDS.sub(r"\1", read.casefold()))
    return read_numbers([word.rstrip("0").rstrip(".") if "." in word else word for word in words])


def as_asked(key: str) -> str:
    """A question's key with its numbers in figures."""
    return " ".join(read_numbers(key.split()))


def eval_question(placed: Placed, eval_set: str) -> EvalQuestion:
    """A row of a test split as a question that no training row may hold."""
    return EvalQuestion(eval_set, placed.row.id, repair(_asked(placed)), tuple(choices_in(placed)))


def _asked(placed: Placed) -> str:
    """The question; of a row that ends before its conversation does, what the user said up to
    there."""
    question = placed.draft.question
    if isinstance(placed.row, SftRow):
        said = "\n\n".join(
            message.content for message in placed.row.messages if message.role == "user"
        )
        return said if question.startswith(said) else question
    return question


def training(placed: Placed) -> TrainingTexts:
    """The part of a row that the rules read."""
    match placed.row:
        case SftRow(messages=messages):
            texts = tuple(message.content for message in messages)
        case PreferenceRow(prompt=prompt, chosen=chosen, rejected=rejected):
            texts = prompt, chosen, rejected
        case McqRow(question=question, choices=choices, explanation=explanation):
            texts = "\n".join([question, *choices]), explanation
        case CorpusRow(text=text):
            texts = (text,)
    return TrainingTexts(
        placed.row.id, placed.source, placed.key, as_set(choices_in(placed)), texts
    )


def find_overlaps(
    train: Sequence[Placed], evaluation: Sequence[EvalQuestion], settings: Decontaminate
) -> list[Overlap]:
    """Each training row and each evaluation question that it holds, with the strongest rule."""
    return list(overlaps(map(training, train), evaluation, settings))


def overlaps(
    train: Iterable[TrainingTexts], evaluation: Sequence[EvalQuestion], settings: Decontaminate
) -> Iterator[Overlap]:
    """Overlaps as `find_overlaps` gives them, row by row."""
    return Watch(evaluation, settings).overlaps(train)


class Watch:
    """Evaluation questions, indexed once to look for them again and again."""

    def __init__(self, evaluation: Sequence[EvalQuestion], settings: Decontaminate) -> None:
        self._evaluation = evaluation
        self._stems = _Stems(evaluation)
        stems = [words_of(question_key(question.stem)) for question in evaluation]
        options = (words_of("\n".join(question.choices)) for question in evaluation)
        words = [[*stem, *more] for stem, more in zip(stems, options, strict=True)]
        self._held = HeldQuestions(words, stems, settings)
        self._whole = WholeStems(
            [question_key(question.stem) for question in evaluation], question_key, _words
        )

    def overlaps(self, train: Iterable[TrainingTexts]) -> Iterator[Overlap]:
        """Each row's questions in their order."""
        rows = list(train)
        by_text = self._find_in_texts({text for row in rows for text in row.texts})
        for row in rows:
            rules = self._stems.rules(row)
            for text in row.texts:
                for number, rule in by_text.get(text, ()):
                    rules[number] = min(rule, rules.get(number, rule), key=RULES.index)
            strongest = sorted(rules, key=lambda number: (RULES.index(rules[number]), number))
            for number in sorted(strongest[:MOST]):
                question = self._evaluation[number]
                yield Overlap(row.row_id, row.source, question.eval_set, question.id, rules[number])

    def holds(self, question: str) -> bool:
        """Whether a question, alone or with its options, overlaps with one of these."""
        row = TrainingTexts(
            "", "", question_key(question), as_set(choices_of(question)), (question,)
        )
        return any(self.overlaps([row]))

    def _find_in_texts(self, texts: Iterable[str]) -> dict[str, tuple[tuple[int, Rule], ...]]:
        """What each text holds; it is read once however many rows have it."""
        found: dict[str, tuple[tuple[int, Rule], ...]] = {}
        for some in _batched(texts):
            read = list(map(as_read, some))
            held: dict[int, dict[int, HeldRule]] = dict(self._held.find(list(map(_words, read))))
            for place, text in enumerate(some):
                whole: dict[int, Rule] = dict.fromkeys(
                    self._whole.held_in(read[place], MOST), "sentence"
                )
                if rules := whole | held.get(place, {}):
                    found[text] = tuple(rules.items())
        return found


class _Stems:
    """Questions by their stem, alone and with its options."""

    def __init__(self, evaluation: Sequence[EvalQuestion]) -> None:
        self._telling: defaultdict[str, list[int]] = defaultdict(list)
        self._with_options: defaultdict[tuple[str, frozenset[str]], list[int]] = defaultdict(list)
        for number, question in enumerate(evaluation):
            key = question_key(question.stem)
            asked = as_asked(key)
            if question.choices:
                self._with_options[asked, as_set(question.choices)].append(number)
            if not question.choices or not is_generic(key):
                self._telling[asked].append(number)

    def rules(self, row: TrainingTexts) -> dict[int, Rule]:
        """The first MOST questions that are the row's own."""
        asked = as_asked(row.key)
        found: dict[int, Rule] = dict.fromkeys(self._telling.get(asked, [])[:MOST], "stem")
        same = self._with_options.get((asked, row.choices), []) if row.choices else []
        return found | dict.fromkeys(same[:MOST], "stem and options")


def _batched(texts: Iterable[str]) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size > CHARACTERS_AT_ONCE:
            yield some
            some = []
            size = 0
    yield some


def report(found: Iterable[Overlap]) -> list[dict[str, Any]]:
    """One row per training source, evaluation set and rule: how many rows and questions, and their
    ids."""
    groups: defaultdict[tuple[str, str, Rule], list[Overlap]] = defaultdict(list)
    for overlap in found:
        groups[overlap.source, overlap.eval_set, overlap.rule].append(overlap)
    return [
        {
            "source": source,
            "eval_set": eval_set,
            "rule": rule,
            "rows": len({overlap.row_id for overlap in group}),
            "questions": len({overlap.eval_id for overlap in group}),
            "ids": [[overlap.row_id, overlap.eval_id] for overlap in group],
        }
        for (source, eval_set, rule), group in sorted(groups.items())
    ]


def table(found: Iterable[Overlap]) -> str:
    """The report without the ids, as text."""
    head = ("training source", "evaluation set", "rule", "rows", "questions")
    lines = [
        head,
        *(
            (r["source"], r["eval_set"], r["rule"], str(r["rows"]), str(r["questions"]))
            for r in report(found)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
