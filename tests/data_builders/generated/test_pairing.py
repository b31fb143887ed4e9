from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_builders.flow import Draft, Drop
from data_builders.generated.judging import CRITERIA, Ties
from data_builders.generated.pairing import PairTask, pair_jobs
from data_builders.scripted.faults import Faults, Json
from stemma.errors import StageFailed
from stemma.generator.jobs import ChatMessage
from tests.data_builders.chats import answering, tagged

RIGHT, ALSO_RIGHT, WRONG, ALSO_WRONG = (
    "2 + 2 = 4",
    "It is 4, as two and two are four.",
    "2 + 2 = 5",
    "2 + 2 = 6",
)
UNCLEAR, ALSO_UNCLEAR = "Hard to say.", "No idea."
TRUTH = {
    RIGHT: True,
    ALSO_RIGHT: True,
    WRONG: False,
    ALSO_WRONG: False,
    UNCLEAR: None,
    ALSO_UNCLEAR: None,
}
TASK = PairTask(
    where="w",
    question="What is 2 + 2?",
    prompt="What is 2 + 2?",
    chat=(ChatMessage("user", "<question>What is 2 + 2?</question>"),),
    shown={"question": "What is 2 + 2?", "options": "", "correct": "4"},
    is_right=TRUTH.__getitem__,
    meta={"gold": "4"},
    file="f",
)
Judge = Callable[[str, str], str]


def prefer(better: str) -> Judge:
    return lambda first, _: "A" if first == better else "B"


def ranked(overall: str, **marks: str) -> str:
    mark = {"tie": "AB"}.get(overall, overall)
    return json.dumps({"criteria": dict.fromkeys(CRITERIA, mark) | marks, "overall": overall})


class Chat:
    """Gives two answers, one a request, and ranks as `judge` says."""

    def __init__(self, answers: tuple[str, str], judge: Judge, **marks: str) -> None:
        self._answers: Iterator[str] = iter(answers)
        self._judge, self._marks = judge, marks
        self.ranked: list[tuple[str, str]] = []

    def __call__(self, body: Json) -> str:
        first, second = tagged(body, "answer_a"), tagged(body, "answer_b")
        if first is None or second is None:
            return next(self._answers)
        self.ranked.append((first, second))
        return ranked(self._judge(first, second), **self._marks)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Draft | Drop]:
    def run(
        answer: Callable[[Json], str], ties: Ties = "drop", faults: Faults | None = None
    ) -> Draft | Drop:
        with answering(answer, tmp_path, monkeypatch, faults) as (generate, _):
            [made] = generate(pair_jobs([TASK], 42, ties))
        return made

    return run


def test_a_right_answer_beats_a_wrong_one_without_a_judge(
    make: Callable[..., Draft | Drop],
) -> None:
    chat = Chat((WRONG, RIGHT), prefer(WRONG))
    made = make(chat)
    assert isinstance(made, Draft)
    assert (made.row["prompt"], made.row["chosen"], made.row["rejected"]) == (
        TASK.prompt,
        RIGHT,
        WRONG,
    )
    assert {name: made.row["meta"][name] for name in ("gold", "decided")} == {
        "gold": "4",
        "decided": "gold",
    }
    assert chat.ranked == []
    assert (made.where, made.question, made.file) == ("w", "What is 2 + 2?", "f")
    assert made.origin is not None
    assert (made.origin.model, made.origin.requests) == ("m", 2)


def test_two_right_answers_are_ranked_in_both_orders(make: Callable[..., Draft | Drop]) -> None:
    chat = Chat((RIGHT, ALSO_RIGHT), prefer(ALSO_RIGHT), correctness="AB")
    made = make(chat)
    assert isinstance(made, Draft)
    assert (made.row["chosen"], made.row["rejected"]) == (ALSO_RIGHT, RIGHT)
    assert sorted(chat.ranked) == [(RIGHT, ALSO_RIGHT), (ALSO_RIGHT, RIGHT)]
    meta = made.row["meta"]
    assert (meta["decided"], meta["correctness"]) == ("judge", "AB/AB")
    side = "A" if meta["chosen_first"] else "B"
    assert meta["overall"] == meta["clarity"] == f"{side}/{side}"
    assert made.origin is not None
    assert made.origin.requests == 4


def test_a_judge_that_prefers_a_place_makes_a_pair_only_where_the_recipe_says_so(
    make: Callable[..., Draft | Drop],
) -> None:
    dropped = make(Chat((RIGHT, ALSO_RIGHT), lambda *_: "A"))
    assert isinstance(dropped, Drop)
    assert dropped.reason == "judge disagrees with itself"
    assert dropped.row["meta"]["overall"] == "A/B"
    assert sorted(dropped.row["answers"]) == [RIGHT, ALSO_RIGHT]
    kept = make(
        Chat((RIGHT, ALSO_RIGHT), lambda *_: "A"), "first_order"
    )  # the same requests: from the ledger
    assert isinstance(kept, Draft)
    assert kept.row["meta"]["chosen_first"] is True


@pytest.mark.parametrize(
    ("answers", "judge", "reason"),
    [
        ((RIGHT, RIGHT), prefer(RIGHT), "identical answers"),
        ((WRONG, ALSO_WRONG), prefer(WRONG), "neither answer is correct"),
        ((RIGHT, ALSO_RIGHT), lambda *_: "tie", "tie"),
        ((RIGHT, UNCLEAR), prefer(UNCLEAR), "judge contradicts the gold answer"),
    ],
)
def test_what_makes_no_pair(
    answers: tuple[str, str], judge: Judge, reason: str, make: Callable[..., Draft | Drop]
) -> None:
    made = make(Chat(answers, judge))
    assert isinstance(made, Drop)
    assert made.reason == reason
    assert made.row["question"] == TASK.prompt


@pytest.mark.parametrize("answers", [(UNCLEAR, ALSO_UNCLEAR), (UNCLEAR, WRONG), (WRONG, UNCLEAR)])
def test_an_answer_that_states_no_gold_is_never_chosen_nor_judged(
    answers: tuple[str, str], make: Callable[..., Draft | Drop]
) -> None:
    chat = Chat(answers, prefer(UNCLEAR))
    made = make(chat)
    assert isinstance(made, Drop)
    assert made.reason == "neither answer states the gold answer"
    assert chat.ranked == []


def test_answers_are_no_pair_when_the_judge_finds_both_wrong(
    make: Callable[..., Draft | Drop],
) -> None:
    made = make(Chat((RIGHT, ALSO_RIGHT), prefer(RIGHT), correctness="None"))
    assert isinstance(made, Drop)
    assert made.reason == "neither answer is correct"


def test_a_refusal_in_prose_is_a_refusal(make: Callable[..., Draft | Drop]) -> None:
    sorry = "I’m sorry, but I can’t assist with that request."
    made = make(lambda _body: sorry)
    assert isinstance(made, Drop)
    assert made.reason == "reply refused"


def hundred_tasks() -> tuple[list[PairTask], dict[str, Iterator[str]]]:
    """A hundred questions whose two answers are both right, so that the judge decides each."""
    answers = {f"What is {n} + 0?": iter((f"{n}", f"It is {n}.")) for n in range(100)}
    tasks = [
        replace(
            TASK,
            prompt=asked,
            question=asked,
            chat=(ChatMessage("user", asked),),
            is_right=lambda _: True,
        )
        for asked in answers
    ]
    return tasks, answers


def test_a_judge_that_never_reads_is_stopped_before_all_is_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, answers = hundred_tasks()

    def answer(body: Json) -> str:
        if tagged(body, "answer_a") is not None:
            return ranked("A")
        return next(answers[body["messages"][-1]["content"]])

    with answering(answer, tmp_path, monkeypatch) as (generate, server):
        with pytest.raises(
            StageFailed, match=r"the judge is of no use: all 2\d verdicts are `answer A`, whichever"
        ):
            generate(pair_jobs(tasks, 42, "drop"))
        asked = server.record.billed.total()
    assert asked < 400, "two hundred answers and two hundred rankings would have been all"


def test_a_judge_that_writes_no_ranking_is_stopped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, answers = hundred_tasks()

    def answer(body: Json) -> str:
        return (
            "1"
            if tagged(body, "answer_a") is not None
            else next(answers[body["messages"][-1]["content"]])
        )

    told = (
        r"of no use for prompts for a ranking: of 30 first replies none can be used "
        r"\(30 x reply is no valid JSON\)"
    )
    with answering(answer, tmp_path, monkeypatch) as (generate, server):
        with pytest.raises(StageFailed, match=told):
            generate(pair_jobs(tasks, 42, "drop"))
        asked = server.record.billed.total()
        with pytest.raises(StageFailed, match="of no use for prompts for a ranking"):
            generate(pair_jobs(tasks, 42, "drop"))
        again = server.record.billed.total() - asked
    assert asked < 400, "two hundred answers and two hundred rankings would have been all"
    assert again < 100, "what the ledger holds is evidence too, so that few are paid for again"


def test_the_right_answer_may_beat_an_unclear_one(make: Callable[..., Draft | Drop]) -> None:
    made = make(Chat((UNCLEAR, RIGHT), prefer(RIGHT)))
    assert isinstance(made, Draft)
    assert made.row["meta"]["decided"] == "judge"


def test_a_ranking_that_is_no_ranking_drops_the_pair(make: Callable[..., Draft | Drop]) -> None:
    answers = iter((RIGHT, ALSO_RIGHT))
    made = make(
        lambda body: next(answers) if tagged(body, "answer_a") is None else "The first one."
    )
    assert isinstance(made, Drop)
    assert made.reason == "ranking: reply is no valid JSON"


def test_a_refused_answer_drops_the_pair(make: Callable[..., Draft | Drop]) -> None:
    made = make(Chat((RIGHT, WRONG), prefer(RIGHT)), faults=Faults(shares={"refusal": 1.0}))
    assert isinstance(made, Drop)
    assert made.reason == "reply refused"
