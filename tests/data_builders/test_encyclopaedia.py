"""The synthetic encyclopaedia: its facts stand in no training context, and its file is it."""

from __future__ import annotations

from itertools import islice

from data_builders.flow import SourceContext
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


def test_a_context_holds_the_answer_first_and_a_bare_question_names_its_passage() -> None:
    context = SourceContext("sft", ROOT, 42, (), lambda _: None, recipe_folder=ROOT / "recipes")
    for draft in read(options(rows="contexts", count=20), context):
        asked, answer = (message["content"] for message in draft.row["messages"])
        assert asked.split("\n")[1].endswith(f"is made of {answer}.")
    bare = next(iter(read(options(rows="questions"), context)))
    fact = entries(42)[0]
    assert bare.row["messages"][0]["content"] == fact.question
    assert bare.row["meta"]["passage"] == f"encyclopaedia:{fact.id}#1"
