from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_builders.drafts import Draft, Drop, Placed
from data_builders.exercises import exercises
from data_builders.sources.generated_pairs import Options, parse_ranking, read
from data_builders.split import question_key
from stemma.recipe import Generator
from stemma.rows import CorpusRow
from tests.data_builders import loopback
from tests.data_builders.small_recipe import make_context

EXPERT = Generator(server="scripted-expert", model="expert")


def test_rankings_are_read_strictly_but_may_be_wrapped() -> None:
    ranking = parse_ranking('Sure:\n```json\n{"criteria": {"correctness": "AB"}, "overall": "B"}\n```')
    assert ranking is not None
    assert ranking.overall == "B"
    for garbage in (
        "",
        "A",
        "{}",
        '{"criteria": {}, "overall": "C"}',
        '{"criteria": {"correctness": 1}, "overall": "A"}',
    ):
        assert parse_ranking(garbage) is None


def test_pairs_come_from_the_expert_over_http_and_are_right_against_wrong(tmp_path: Path) -> None:
    items = list(read(Options(source="generated_pairs", limit=40), make_context("dpo", tmp_path, generator=EXPERT)))
    known = {exercise.question: exercise for exercise in exercises(42)}
    pairs = [item for item in items if isinstance(item, Draft)]
    assert len(items) == 40
    assert len(pairs) >= 10
    for pair in pairs:
        exercise = known[pair.question]
        assert pair.row["chosen"] == exercise.answer
        assert pair.row["rejected"] in exercise.wrong
    reasons = {item.reason for item in items if isinstance(item, Drop)}
    assert reasons == {"identical answers", "neither answer is correct"}
    journal = (tmp_path / "generator.jsonl").read_text().splitlines()
    ranked = sum(not (isinstance(item, Drop) and item.reason == "identical answers") for item in items)
    assert len(journal) == 2 * 40 + ranked


def test_questions_of_evaluation_parts_are_never_asked(tmp_path: Path) -> None:
    held_out = question_key(exercises(42)[-1].question)
    placed = Placed("sft: s", "sft", "test", held_out, "w", CorpusRow(id="1", source="s", text="t"))
    context = make_context("dpo", tmp_path, (placed,), EXPERT)
    [item] = read(Options(source="generated_pairs", limit=1), context)
    assert item.where == exercises(42)[-2].question


@pytest.mark.parametrize(
    ("ranking", "reason"),
    [
        (loopback.completion("A is better"), "ranking: not the JSON that was asked for"),
        (loopback.completion('{"criteria"', "length"), "ranking: reply not finished (length)"),
    ],
)
def test_a_ranking_that_is_none_drops_the_question(
    ranking: loopback.Reply, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "k")

    def reply(request: dict[str, Any]) -> loopback.Reply:
        return ranking if "response_format" in request else loopback.completion(f"answer {request['seed']}")

    with loopback.serve(reply) as (base_url, requests):
        settings = Generator(base_url=base_url, model="m", api_key_env="TEST_KEY")
        [item] = read(Options(source="generated_pairs", limit=1), make_context("dpo", tmp_path, generator=settings))
    assert isinstance(item, Drop)
    assert item.reason == reason
    assert len(requests) == 3
