from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve import chat as chat_module
from serve.chat import Chat
from serve.passages import (
    NO_ROOM,
    NOTHING_FOUND,
    PassagesBefore,
    is_follow_up,
    open_passages,
    sources_of,
)
from serve.talk import main, recipes
from stemma.errors import UserError
from stemma.llama import Llama
from stemma.recipe.models import Recipe
from stemma.recipe.rag import RagSection
from stemma.retrieval.context import InContext
from stemma.retrieval.database import keep_settings
from stemma.retrieval.passages import Hit
from stemma.retrieval.settings import SearchSettings
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.retrieval import FACTS, build
from tests.factories.run_to_score import make_recipe, make_work

RAG = RagSection.model_validate(
    {
        "sources": [{"source": "documents", "path": "notes.md", "licence": "CC0-1.0"}],
        "context": {"max_tokens": 400, "passages": 2},
    }
)


def talk(recipe: Recipe, run: Run, question: str | None, closed_book: bool = False) -> None:
    """What the verb `chat` does."""
    with recipes(recipe, run, closed_book) as asking:
        main(asking, question)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    made = make_work(tmp_path_factory.mktemp("run"), make_recipe(["gguf-F16"], [{"task": "mcq"}]))
    folder = made.run.folder("rag")
    folder.mkdir()
    build(folder / "database")
    write_manifest(made.run, "rag", {"database": "database"})
    return made


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 24)


@pytest.fixture
def llama(work: Work) -> Iterator[Llama]:
    with Llama(work.input("export", "gguf-F16"), 2048, 1) as opened:
        yield opened


@pytest.fixture
def passages(work: Work, llama: Llama) -> Iterator[PassagesBefore]:
    recipe = work.recipe.model_copy(update={"rag": RAG})
    with open_passages(recipe, work.run, llama) as opened:
        assert opened
        yield opened


def prompts(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the model is asked with from here on."""
    seen: list[str] = []
    tokenize = llama.tokenize
    stream = llama.stream

    def streamed(ids: list[int], most: int, _: list[int]) -> Iterator[int]:
        seen.append(llama.detokenize(ids))
        return stream(ids, most)

    monkeypatch.setattr(llama, "stream", streamed)
    assert tokenize("a")
    return seen


def test_a_question_is_asked_with_the_passages_that_are_found(
    llama: Llama, passages: PassagesBefore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = prompts(llama, monkeypatch)
    chat = Chat(llama, passages)
    list(chat.answer("Why does iron rust?"))
    assert "> Iron rusts in damp air; rust is a hydrated oxide." in seen[0]
    assert seen[0].count("Why does iron rust?") == 1
    assert chat.sources[0].startswith("[1]")
    assert "Iron (iron, page 3)" in chat.sources[0]


def test_options_of_a_question_are_not_searched_with(passages: PassagesBefore) -> None:
    asked = "What rusts?\n\nOptions:\nA. Copper\nB. Iron\nC. The Moon"
    plain, _ = passages.put("What rusts?", 400)
    found, _ = passages.put(asked, 400)
    assert [hit.passage.id for hit in found.used] == [hit.passage.id for hit in plain.used]
    assert found.text.endswith(asked)


def test_only_the_last_question_carries_passages(
    llama: Llama, passages: PassagesBefore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 4)
    seen = prompts(llama, monkeypatch)
    chat = Chat(llama, passages, history=True)
    list(chat.answer("Why does iron rust?"))
    list(chat.answer("What moves the tides?"))
    assert "Iron rusts in damp air" not in seen[1]
    assert "The Moon moves the tides" in seen[1]
    assert all("> " not in turn.content for turn in chat._turns)


@pytest.mark.parametrize(
    ("question", "follows"),
    [
        ("Why?", True),
        ("And in plants?", True),
        ("Can you explain it more simply?", True),
        ("What happens if it gets colder?", True),
        ("What happens if water gets colder?", False),
        ("Give an example.", True),
        ("What moves the tides?", False),
        ("What is entropy?", False),
        ("Was ist Entropie?", False),
        ("Which force moves the tides of the oceans?", False),
    ],
)
def test_short_questions_that_refer_back_or_name_no_subject_are_follow_ups(
    question: str, follows: bool
) -> None:
    assert is_follow_up(question) is follows


def test_a_follow_up_is_searched_with_the_question_it_follows(
    llama: Llama, passages: PassagesBefore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 4)
    seen = prompts(llama, monkeypatch)
    chat = Chat(llama, passages, history=True)
    list(chat.answer("Why does iron rust in damp air?"))
    for question in ("And why?", "Who discovered that?"):
        list(chat.answer(question))
        asked = seen[-1].rpartition("Iron rusts in damp air")[2]
        assert asked.count(question) == 1
        assert "Why does iron rust" not in asked, "only the search knows of it"
    list(chat.answer("Which force moves the tides of the oceans?"))
    assert "Iron rusts in damp air" not in seen[-1]


def test_nothing_relevant_is_asked_without_and_told(
    work: Work, llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work.run.output("rag", "database")
    database = {"database": "database"}
    keep_settings(folder, SearchSettings(threshold=99.0))
    write_manifest(work.run, "rag", database)
    try:
        recipe = work.recipe.model_copy(update={"rag": RAG})
        seen = prompts(llama, monkeypatch)
        with open_passages(recipe, work.run, llama) as passages:
            chat = Chat(llama, passages)
            said = "".join(chat.answer("Why does iron rust?"))
        assert chat.sources == [NOTHING_FOUND]
        assert said == "".join(Chat(llama).answer("Why does iron rust?"))
        assert seen[0] == seen[1]
    finally:
        keep_settings(folder, SearchSettings())
        write_manifest(work.run, "rag", database)


def test_a_long_question_leaves_less_room_or_none(llama: Llama, passages: PassagesBefore) -> None:
    chat = Chat(llama, passages)
    list(chat.answer("iron " * 150 + "?"))
    assert chat.sources == [NO_ROOM]
    with pytest.raises(UserError, match="shorten it"):
        list(chat.answer("iron " * 2000))
    assert chat.sources == []


def test_a_failing_search_leaves_the_conversation_as_it_was(
    llama: Llama, passages: PassagesBefore
) -> None:
    chat = Chat(llama, passages)
    passages.searcher.database.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        list(chat.answer("Why does iron rust?"))
    assert chat._turns == []


def test_chat_prints_the_answer_and_below_it_its_sources(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = work.recipe.model_copy(update={"rag": RAG})
    talk(recipe, work.run, "Why does iron rust?")
    out, err = capsys.readouterr()
    assert "Iron (iron, page 3)" in out.split("\n\n")[-1]
    assert err == ""
    talk(recipe, work.run, "Why does iron rust?", closed_book=True)
    closed, _ = capsys.readouterr()
    talk(work.recipe, work.run, "Why does iron rust?")
    assert capsys.readouterr().out == closed
    assert "Iron (iron" not in closed


def test_a_database_that_is_not_there_names_its_command(work: Work, tmp_path: Path) -> None:
    recipe = work.recipe.model_copy(update={"rag": RAG})
    with pytest.raises(UserError, match="RECIPE=none"):
        talk(recipe, type(work.run)(tmp_path / "none"), "Why?")


def test_citations_are_marked_and_those_of_nothing_told() -> None:
    hits = [Hit(one, 1.0, 1.0, None) for one in FACTS[:2]]
    found = InContext("…", hits, 10, cut=False)
    assert sources_of("It rusts [2]. See [5].", found, hits) == [
        "[1]  Copper (copper)",
        "[2]* Iron (iron, page 3)",
        "[5]  no passage of this number was given",
    ]
    none = InContext("q", [], 0, cut=False)
    assert sources_of("It rusts [1].", none, []) == [NOTHING_FOUND]
    assert sources_of("It rusts.", none, hits) == [NO_ROOM]
