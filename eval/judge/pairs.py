"""Pairs to be judged: the replies of policy and reference to one question. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from eval.job import Records
from eval.tasks.generation import GenerationSample
from stemma.errors import Problem, UserError
from stemma.recipe.evaluation import Judging
from stemma.rows import SftRow


@dataclass(frozen=True)
class Pair:
    """One question and the replies of both variants, as they wrote them."""

    id: str
    question: str
    reference: str
    policy: str
    gold: str | None = None
    """The right answer, where it is known; the judge never sees it."""
    choices: tuple[str, ...] = ()
    """The options that the question lists."""

    @property
    def is_identical(self) -> bool:
        """Whether both variants say the same, which is a tie that nobody needs to be asked."""
        return self.reference == self.policy


def question_of(row: SftRow) -> str:
    """The text that the variants were asked: the user's turn, or all turns before the answer."""
    *before, last = row.messages[:-1]
    if not before:
        return last.content
    return "\n\n".join(f"{turn.role}:\n{turn.content}" for turn in (*before, last))


def make_pairs(
    judging: Judging, rows: Iterable[SftRow], generated: Mapping[str, Records], seed: int
) -> list[Pair]:
    """As many pairs as the recipe asks for, or there are, drawn by the seed.

    `rows` are the test questions, `generated` the samples of the task `generation` by variant.
    A higher `questions` only adds pairs. Raises UserError where ids come twice or nothing was
    generated.
    """
    asked = list(rows)
    policy = _by_id(generated[judging.policy])
    reference = _by_id(generated[judging.reference])
    # An arm leaves out rows that have no passage of their own.
    policy = {name: found for name, found in policy.items() if name in reference}
    _refuse_repeated(
        {
            "test rows of `sft`": [row.id for row in asked],
            judging.policy: [str(row["id"]) for row in generated[judging.policy]],
            judging.reference: [str(row["id"]) for row in generated[judging.reference]],
        }
    )
    questions = {row.id: question_of(row) for row in asked}
    drawn = draw(policy, judging.questions, seed)
    if not drawn:
        found = f"`{judging.policy}` has no reply to judge"
        hint = "the test rows of `sft` are what `generation` asks"
        raise UserError(Problem("eval.judge", found, "at least one reply", hint))
    return [
        Pair(
            id=name,
            question=storable(questions[name]),
            reference=storable(reference[name].reply),
            policy=storable(policy[name].reply),
            gold=policy[name].gold or None,
            choices=policy[name].choices,
        )
        for name in drawn
    ]


def storable(text: str) -> str:
    """The text with what no file can hold written out: half of a surrogate pair as `\\ud83d`."""
    return text.encode("utf-8", "backslashreplace").decode()


def draw(names: Iterable[str], count: int, seed: int) -> list[str]:
    """The first `count` names in the order that the seed shuffles them into."""
    return sorted(names, key=lambda name: sha256(f"{seed}/{name}".encode()).digest())[:count]


def _by_id(samples: Records) -> dict[str, GenerationSample]:
    found = map(GenerationSample.model_validate, samples)
    return {sample.id: sample for sample in found}


def _refuse_repeated(ids: Mapping[str, Sequence[str]]) -> None:
    problems = []
    for where, names in ids.items():
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            shown = ", ".join(repeated[:5])
            found = f"{len(repeated)} ids come more than once: {shown}"
            problems.append(Problem(f"eval.judge: {where}", found, "an id of its own for each"))
    if problems:
        raise UserError(problems)
