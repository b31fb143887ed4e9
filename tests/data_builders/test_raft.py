from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data_builders.flow import Draft, Placed
from data_builders.raft import (
    HELD_OUT,
    NO_SUPPORT,
    NOT_FITTING,
    WITH_OWN,
    WITHOUT_OWN,
    Asking,
)
from data_builders.run import forecast, run
from stemma.errors import UserError
from stemma.jsonl import read_rows
from stemma.recipe.data import DataSection
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.raft import Raft
from stemma.retrieval.context import Contexts
from stemma.rows import McqRow, SftRow, Split
from tests.data_builders.small_recipe import make_work, write_lines

PROMPT = PromptFiles().path("context")
WORDS = ("newton", "joule", "watt", "pascal", "volt", "ohm", "tesla", "kelvin", "mole", "candela")
OF = ("force", "energy", "power", "pressure", "tension", "resistance", "flux", "heat", "matter")


def count(text: str) -> int:
    return len(text.split())


def support(number: int) -> str:
    unit = WORDS[number % 10]
    return f"The {unit} of kind {number} measures {OF[number % 9]} in laboratory {number}."


def placed(
    number: int, split: Split = "train", text: str | None = None, gold: str | None = None
) -> Placed:
    question = f"What does the {WORDS[number % 10]} of kind {number} measure?"
    meta: dict[str, Any] = {"support": support(number) if text is None else text}
    row = SftRow.model_validate(
        {
            "id": f"sft-{number}",
            "source": "table",
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"{OF[number % 9]}.\n\nThat is all."},
            ],
            "meta": meta | ({"gold": gold} if gold else {}),
        }
    )
    draft = Draft(f"t:{number}", question, {})
    return Placed("sft: table", "sft", question, draft, row, split, question, fixed=False)


ROWS = [placed(number) for number in range(200)]


def asked(
    settings: Raft,
    rows: list[Placed],
    most: int = 400,
    is_held_out: Callable[[str], bool] = lambda _: False,
    seed: int = 42,
) -> tuple[list[SftRow], dict[str, int]]:
    found, counts = Asking(settings, Contexts(PROMPT, count, most), seed, is_held_out).put(rows)
    assert [one.row.id for one in found] == [one.row.id for one in rows]
    return [one.row for one in found if isinstance(one.row, SftRow)], counts


def passages_in(row: SftRow) -> list[str]:
    return re.findall(r"^> (.*)$", row.messages[-2].content, re.MULTILINE)


def test_the_own_passage_stands_among_distractors_as_often_as_said() -> None:
    rows, counts = asked(Raft(oracle=0.7, distractors=3), ROWS)
    own = [support(number) in passages_in(row) for number, row in enumerate(rows)]
    assert counts == {"passages": 200, WITH_OWN: sum(own), WITHOUT_OWN: 200 - sum(own)}
    assert 0.6 < sum(own) / 200 < 0.8
    assert {len(passages_in(row)) for row in rows} == {4}
    places = [passages_in(row).index(support(n)) for n, row in enumerate(rows) if own[n]]
    assert {places.count(place) > 20 for place in range(4)} == {True}  # no place tells which it is


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 0), (1.0, 200)])
def test_never_and_always_are_possible(share: float, wanted: int) -> None:
    rows, _ = asked(Raft(oracle=share), ROWS)
    assert sum(support(number) in passages_in(row) for number, row in enumerate(rows)) == wanted


def test_the_answer_cites_its_own_passage_behind_its_first_paragraph() -> None:
    for number, row in enumerate(asked(Raft(oracle=0.5), ROWS)[0]):
        answer = row.messages[-1].content
        shown = passages_in(row)
        if support(number) in shown:
            place = shown.index(support(number)) + 1
            assert answer == f"{OF[number % 9]}. [{place}]\n\nThat is all."
            assert (row.meta["cited"], row.meta["passages"]) == (place, 4)
        else:
            assert answer == f"{OF[number % 9]}.\n\nThat is all."
            assert row.meta["cited"] is None
    for row in asked(Raft(oracle=1, cite=False), ROWS)[0]:
        assert "[" not in row.messages[-1].content


def test_the_same_seed_draws_the_same_and_another_another() -> None:
    settings = Raft(oracle=0.5)
    assert asked(settings, ROWS)[0] == asked(settings, ROWS)[0]
    assert asked(settings, ROWS)[0] != asked(settings, ROWS, seed=43)[0]
    # What a row gets does not depend on its place.
    assert asked(settings, ROWS[::-1])[0][::-1][0].meta == asked(settings, ROWS)[0][0].meta


def test_distractors_come_from_training_rows_alone() -> None:
    held = [placed(number, "validation" if number % 2 else "test") for number in range(100, 200)]
    rows, counts = asked(Raft(oracle=0.5), ROWS[:100] + held)
    assert counts["passages"] == 100
    tests = [row for row, one in zip(rows, ROWS[:100] + held, strict=True) if one.split == "test"]
    assert all(row.meta.keys() == {"support"} for row in tests)  # as they were
    theirs = {support(number) for number in range(100, 200)}
    shown = {text for row in rows[:100] for text in passages_in(row)}
    assert shown
    assert shown.isdisjoint(theirs)
    validated = rows[101]  # asked with its own passage, or with those of training rows
    assert set(passages_in(validated)) <= {support(101)} | {support(n) for n in range(100)}


def test_passages_that_hold_an_evaluation_question_are_shown_to_nobody() -> None:
    held = {support(3), support(13)}
    rows, counts = asked(Raft(oracle=1), ROWS, is_held_out=lambda text: text in held)
    assert counts == {"passages": 198, WITH_OWN: 198, HELD_OUT: 2}
    assert not held & {text for row in rows for text in passages_in(row)}
    assert rows[3] == ROWS[3].row


def test_a_distractor_holds_neither_the_answer_nor_the_own_passage() -> None:
    same = "THE newton of kind 0  measures force in laboratory 0."
    rows = [
        placed(0, gold="force"),
        placed(10, text="The newton of kind 10 measures a force too."),
        placed(20, text=same),
        placed(30, text="The newton of kind 30 measures reinforced steel."),
    ]
    found, _ = asked(Raft(oracle=0, distractors=3), rows)
    assert passages_in(found[0]) == ["The newton of kind 30 measures reinforced steel."]


def test_rows_without_a_passage_stay_and_those_too_long_for_the_budget() -> None:
    rows = [placed(0, text=""), placed(1, text="long " * 500), placed(2), placed(3)]
    found, counts = asked(Raft(oracle=1, distractors=3), rows, most=95)
    assert counts == {"passages": 3, NO_SUPPORT: 1, NOT_FITTING: 1, WITH_OWN: 2}
    assert found[0] == rows[0].row
    assert found[1] == rows[1].row
    for number in (2, 3):  # where not all fit, its own stays and distractors go
        assert support(number) in passages_in(found[number])


def test_of_a_conversation_the_last_question_is_asked_with_passages() -> None:
    one = placed(0)
    assert isinstance(one.row, SftRow)
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        *[turn.model_dump() for turn in one.row.messages],
    ]
    row = SftRow.model_validate(one.row.model_dump() | {"messages": turns})
    (found, *_), _ = asked(Raft(oracle=1), [placed(0), *ROWS[1:5]])
    longer = Placed("s", "sft", "k", one.draft, row, "train", "k", fixed=False)
    (talk, *_), _ = asked(Raft(oracle=1), [longer, *ROWS[1:5]])
    assert talk.messages[:2] == row.messages[:2]
    assert talk.messages[2:] == found.messages


TABLE = {"question": "q", "answer": "a", "support": "s"}


def lines(folder: Path, number: int = 120) -> Path:
    rows = [
        {
            "q": f"What does the {WORDS[n % 10]} of kind {n} in house {n * 7} measure?",
            "a": f"{OF[n % 9]} of kind {n}",
            "s": support(n) if n % 6 else "",
        }
        for n in range(number)
    ]
    return write_lines(folder / "units.jsonl", *rows)


def section(folder: Path, **raft: Any) -> dict[str, Any]:
    source = {"source": "table", "path": "units.jsonl", "columns": TABLE}
    return {"root": str(folder), "sft": {"sources": [source], "raft": raft}}


def test_the_data_stage_writes_rows_with_passages_and_counts_them(tmp_path: Path) -> None:
    lines(tmp_path)
    work = make_work(tmp_path / "runs", section(tmp_path, oracle=0.6, max_tokens=300))
    result = run(work)
    train = list(read_rows(work.folder / "sft/train.jsonl", SftRow))
    test = list(read_rows(work.folder / "sft/test.jsonl", SftRow))
    counts = result.facts["raft"]["counts"]
    assert result.facts["raft"]["tokens"] == "estimated: 3 characters a token"
    shown = [row for row in train if passages_in(row)]
    assert counts[WITH_OWN] + counts[WITHOUT_OWN] >= len(shown) > 60
    assert counts[NO_SUPPORT] >= 15
    assert not any(passages_in(row) for row in test)
    tested = {str(row.meta["support"]) for row in test if row.meta.get("support")}
    assert tested
    assert not tested & {text for row in shown for text in passages_in(row)}
    assert [row.messages[0].content for row in forecast(work).rows["sft"]] == [
        row.messages[0].content for row in train
    ]


def test_rows_without_raft_keep_the_key_they_had(tmp_path: Path) -> None:
    plain = section(tmp_path)
    del plain["sft"]["raft"]
    content = DataSection.model_validate(plain).content()
    assert "raft" not in content["sft"]
    given = DataSection.model_validate(section(tmp_path))
    assert given.content()["sft"]["raft"]["oracle"] == 0.8
    assert "recipes/prompts/context.jinja" in given.files(tmp_path)
    assert "recipes/prompts/context.jinja" not in DataSection.model_validate(plain).files(tmp_path)


@pytest.mark.parametrize(
    ("raft", "problem"),
    [
        ({"oracle": 1.5}, "less than or equal to 1"),
        ({"distractors": -1}, "greater than or equal to 0"),
        ({"orcale": 1}, "Extra inputs"),
        ({"prompt": "../secret"}, "pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused(raft: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Raft.model_validate(raft)


def test_only_conversations_are_asked_with_passages() -> None:
    pairs = {"dpo": {"sources": [{"source": "stem_exercises"}], "raft": {}}}
    with pytest.raises(ValidationError, match=r"dpo\.raft: it is for sft"):
        DataSection.model_validate(pairs)


def test_a_budget_too_small_is_told_before_anything_is_written(tmp_path: Path) -> None:
    lines(tmp_path)
    work = make_work(tmp_path / "runs", section(tmp_path, max_tokens=20))
    with pytest.raises(UserError, match=r"data\.sft\.raft\.max_tokens: 20 tokens, and the words"):
        run(work)
    assert list(work.folder.iterdir()) == []


def test_multiple_choice_rows_keep_their_support(tmp_path: Path) -> None:
    row = {
        "question": "What do plants take in?",
        "distractor1": "oxygen",
        "distractor2": "helium",
        "distractor3": "neon",
        "correct_answer": "carbon dioxide",
        "support": "Plants take in carbon dioxide.",
    }
    write_lines(tmp_path / "s.jsonl", row)
    mcq = {"sources": [{"source": "sciq_support", "path": "s.jsonl", "use": "train"}]}
    work = make_work(tmp_path / "runs", {"root": str(tmp_path), "mcq": mcq})
    run(work)
    (found,) = read_rows(work.folder / "mcq/train.jsonl", McqRow)
    assert found.meta == {"support": "Plants take in carbon dioxide."}
