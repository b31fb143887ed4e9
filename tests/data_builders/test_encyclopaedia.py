"""The synthetic encyclopaedia: its facts stand in no training context, and its file is it."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from data_builders.flow import Draft, SourceContext
from data_builders.generated.encyclopaedia import entries, other_facts
from data_builders.sources.encyclopaedia import Options, read
from stemma import ROOT
from stemma.jsonl import read_dicts


def options(**given: object) -> Options:
    return Options.model_validate({"source": "encyclopaedia", "prompt": "facts"} | given)


def test_training_contexts_speak_of_other_things() -> None:
    asked = {fact.name for fact in entries(42)}
    for series in ("corpus", "sft", "mcq"):
        told = {fact.name for pair in islice(other_facts(42, series), 500) for fact in pair}
        assert not asked & told
    assert len(asked) == len(entries(42))


def test_the_recipes_file_is_the_encyclopaedia() -> None:
    rows = read_dicts(ROOT / "recipes/facts/encyclopaedia.jsonl")
    assert rows == [{"id": fact.id, "title": fact.title, "text": fact.text} for fact in entries(42)]


def read_rows(**given: object) -> list[Draft]:
    context = SourceContext("sft", ROOT, 42, (), lambda _: None, recipe_folder=ROOT / "recipes")
    return list(read(options(**given), context))


def test_a_contexts_own_passage_stands_anywhere() -> None:
    places: Counter[tuple[int, int]] = Counter()
    for draft in read_rows(rows="contexts", count=400):
        asked, answer = (message["content"] for message in draft.row["messages"])
        name = asked.rsplit("\n", 1)[1].removeprefix("What is the ").removesuffix(" made of?")
        told = [line[2:] for line in asked.split("\n") if line.startswith("> ")]
        places[told.index(f"The {name} is made of {answer}."), len(told)] += 1
    assert set(places) == {(0, 1), (0, 2), (1, 2)}
    assert 90 < places[0, 1] < 150  # 0.3 of them alone
    assert 110 < places[0, 2] < 170
    assert 110 < places[1, 2] < 170


def test_rows_depend_on_the_seed_alone() -> None:
    few, many = read_rows(rows="contexts", count=5), read_rows(rows="contexts", count=50)
    assert [one.row for one in few] == [one.row for one in many[:5]]


def test_a_bare_question_names_its_passage() -> None:
    bare = read_rows(rows="questions")[0]
    fact = entries(42)[0]
    assert bare.row["messages"][0]["content"] == fact.question
    assert bare.row["meta"]["passage"] == f"encyclopaedia:{fact.id}#1"
