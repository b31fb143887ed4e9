from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from serve import exam
from serve.chat import Chat
from serve.exam import EXAMPLE, Example, ask, draw, known_rows, main, written
from serve.passages import open_passages
from serve.shipped import open_shipped
from stemma import ROOT
from stemma.errors import StageFailed
from stemma.recipe.rag import RagSection
from stemma.rows import SftRow
from stemma.runs import Run
from stemma.stages import Work
from stemma.templates import answered
from tests.factories.manifests import write_manifest
from tests.factories.retrieval import build
from tests.factories.run_to_score import make_recipe, make_work

RAG = RagSection.model_validate(
    {
        "sources": [{"source": "documents", "path": "notes.md", "licence": "CC0-1.0"}],
        "context": {"max_tokens": 400, "passages": 2},
    }
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(tmp_path_factory.mktemp("run"), make_recipe(["gguf-F16"], [{"task": "mcq"}]))


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam, "ANSWER_TOKENS", 12)
    monkeypatch.setattr("serve.chat.ANSWER_TOKENS", 12)


def row(number: int, gold: str = "1") -> SftRow:
    return SftRow(
        id=f"r{number}",
        source="t",
        messages=answered(f"What is {number}?", gold),
        meta={"gold": gold},
    )


def test_rows_are_drawn_by_seed_and_each_once() -> None:
    rows = [row(number) for number in range(30)]
    drawn = draw(rows, 42)
    assert len({found.id for found in drawn}) == 8
    assert draw(rows, 42) == drawn
    assert draw(rows, 43) != drawn
    assert sorted(draw(rows[:3], 42), key=rows.index) == rows[:3], "all, where there are fewer"


def test_only_rows_with_a_known_answer_count(work: Work) -> None:
    assert [found.id for found in known_rows(work.run)] == ["s1", "s2", "s4", "s5"]


def test_a_recipe_without_conversations_has_none(tmp_path: Path) -> None:
    run = Run(tmp_path / "small")
    run.folder("data").mkdir(parents=True)
    write_manifest(run, "data", {})
    assert known_rows(run) == []


def test_the_table_shows_gold_and_answer_and_counts_the_right_ones() -> None:
    long = row(3, "x").model_copy(update={"messages": answered("word\n" * 30, "x")})
    lines = written([(row(1, "19"), "12 + 7 = 19"), (row(2, "newton"), "joule"), (long, "")])
    assert lines == [
        "right      gold    answer       question",
        "yes        19      12 + 7 = 19  What is 1?",
        "no         newton  joule        What is 2?",
        f"undecided  x                    {'word ' * 11}word…",
        "1 of 3 right, 1 undecided, 1 empty",
    ]


def test_the_answer_is_the_one_chat_gives(work: Work) -> None:
    with open_shipped(work.recipe, work.run) as llama:
        said = "".join(Chat(llama).answer("What is 3 + 4?"))
        assert ask(llama, answered("What is 3 + 4?", "7")) == said


def test_the_exam_and_an_example_answered_rightly(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_shipped(work.recipe, work.run) as llama:
        said = ask(llama, answered("What is 3 + 4?", "7"))
    main(work.recipe, work.run, [Example("small", "What is 3 + 4?", said)])
    head, table, *rows, count, empty, question, answer = capsys.readouterr().out.splitlines()
    assert head == "4 of the 4 test questions with a known answer, drawn by seed 42:"
    assert table.split() == ["right", "gold", "answer", "question"]
    assert {line.split()[0] for line in rows} <= {"yes", "no", "undecided"}
    assert " of 4 right" in count
    assert (empty, question, answer) == ("", "What is 3 + 4?", said)


def test_a_recipe_with_passages_is_asked_with_them_and_they_are_shown(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = work.run.folder("rag")
    folder.mkdir()
    build(folder / "database")
    write_manifest(work.run, "rag", {"database": "database"})
    recipe = work.recipe.model_copy(update={"rag": RAG})
    question = "Why does iron rust?"
    with (
        open_shipped(recipe, work.run) as llama,
        open_passages(recipe, work.run, llama) as passages,
    ):
        said = ask(llama, answered(question, "damp air"), passages)
        assert said == "".join(Chat(llama, passages).answer(question))
        asked: list[str] = []
        stream = llama.stream
        monkeypatch.setattr(
            llama,
            "stream",
            lambda ids, most: asked.append(llama.detokenize(ids)) or stream(ids, most),
        )
        assert ask(llama, answered(question, "damp air"), passages) == said
        assert "> Iron rusts in damp air; rust is a hydrated oxide." in asked[0]
    main(recipe, work.run, [Example("small", question, said)])
    shown = capsys.readouterr().out.split(question)[1].splitlines()
    assert shown[1:3] == [said, ""]
    assert shown[3].startswith("[1]")
    assert "Iron (iron, page 3)" in shown[3]


def test_an_example_answered_wrongly_stops_the_demo(work: Work) -> None:
    with pytest.raises(
        StageFailed,
        match=r"the README's example: 'What is 3 \+ 4\?' is answered .* right is 'zebra'",
    ):
        main(work.recipe, work.run, [Example("small", "What is 3 + 4?", "zebra")])


@pytest.mark.parametrize("name", ["README.md", "Makefile"])
def test_the_documents_tell_the_example(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert f'QUESTION="{EXAMPLE.question}"' in text
    assert text.count('QUESTION="') == text.count(f'QUESTION="{EXAMPLE.question}"') + text.count(
        'QUESTION="…"'
    )


def test_the_demo_loads_no_training_engine_for_it() -> None:
    code = (
        "import sys, serve.exam; "
        "print(sorted({'torch', 'transformers', 'axolotl', 'peft', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
