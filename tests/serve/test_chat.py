from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve import chat as chat_module
from serve.chat import CONTEXT_TOKENS, Chat, main, pieces
from stemma import ROOT
from stemma.errors import UserError
from stemma.llama import Llama
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work
from tests.from_gguf.files import write_gguf


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(tmp_path_factory.mktemp("run"), make_recipe(["gguf-F16"], [{"task": "mcq"}]))


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 24)


@pytest.fixture
def llama(work: Work) -> Iterator[Llama]:
    with Llama(work.input("export", "gguf-F16"), CONTEXT_TOKENS, 1) as opened:
        yield opened


def test_one_question_is_answered_on_stdout(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    main(work.recipe, work.run, "What is 3 + 4?")
    out, err = capsys.readouterr()
    assert out.strip()
    assert err == ""


def test_the_answer_is_the_greedy_one(work: Work, llama: Llama) -> None:
    ids = llama.tokenize("<bos>Question: What is 3 + 4?\n\nAnswer:")
    said = "".join(Chat(llama).answer("What is 3 + 4?"))
    assert said == llama.detokenize(llama.generate(ids, 24)).strip()


def test_an_open_prompt_answers_each_line_until_the_end(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is 1 + 1?\n\n<bos>\nWhat is 2 + 2?\n"))
    main(work.recipe, work.run, None)
    out, err = capsys.readouterr()
    assert out.strip()
    assert "small-F16.gguf: ask a question; Ctrl-D ends." in err
    assert "it holds the control token <bos>" in err


def test_turns_are_remembered_with_one_bos_and_the_oldest_forgotten(llama: Llama) -> None:
    chat = Chat(llama)
    list(chat.answer("What is 3 + 4?"))
    turns = len(chat._turns)
    assert turns in (0, 2)  # an empty answer leaves no turn
    for _ in range(6):
        list(chat.answer("Why is that so? " * 20))
        chat._turns.append(chat._user("And then?"))
        ids = chat.prompt_ids()
        chat._turns.pop()
        assert ids.count(2) == 1
        assert ids[0] == 2
        assert len(ids) + 24 <= 512 < CONTEXT_TOKENS


def test_a_question_too_long_is_refused_and_forgotten(llama: Llama) -> None:
    """The context is of 2,048 tokens, the model was made for 512."""
    chat = Chat(llama)
    with pytest.raises(UserError, match=r"the question: \d+ tokens(.|\n)*at most 488"):
        list(chat.answer("word " * 2000))
    assert chat._turns == []


def test_an_answer_ends_where_the_models_positions_do(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp goes on behind them, and what comes then is noise. Half of the positions are kept
    for the question."""
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 600)
    asked: list[int] = []
    monkeypatch.setattr(
        llama, "stream", lambda ids, most: asked.append(len(ids) + most) or iter([])
    )
    list(Chat(llama).answer("word " * 40))
    assert asked == [512]
    with pytest.raises(UserError, match=r"tokens(.|\n)*at most 256"):
        list(Chat(llama).answer("word " * 200))


def test_an_empty_question_is_refused(llama: Llama) -> None:
    with pytest.raises(UserError, match="the question: it is empty"):
        list(Chat(llama).answer("  "))


def test_an_empty_answer_is_told_and_what_it_may_mean(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Llama, "stream", lambda *_: iter([]))
    main(work.recipe, work.run, "What is 3 + 4?")
    out, err = capsys.readouterr()
    assert out == "\n"
    assert err.startswith("the answer is empty: the model ended it at once, or wrote nothing")
    assert "hint: ask in other words; a model that says nothing to anything was trained on" in err


def test_characters_spelt_in_bytes_come_whole(llama: Llama) -> None:
    text = "x = 中 and ∑ é."
    ids = llama.tokenize(f" {text} ")
    found = list(pieces(llama, ids))
    assert "".join(found) == text
    assert not any("\ufffd" in piece for piece in found)


def test_a_missing_export_names_its_command(work: Work, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make export RECIPE=nothing"):
        main(work.recipe, type(work.run)(tmp_path / "nothing"), "q")


def test_the_laptop_side_imports_no_training_engine() -> None:
    code = (
        "import sys, serve.chat; "
        "print(sorted({'torch', 'transformers', 'axolotl', 'peft', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{% for m in messages %}", ":1: Unexpected end of template."),
        ("{{ messages[0].content * 10**9 }}", ":1: it makes more than 64,000,000 characters"),
        ("{{ a.b.c }}", ":1: 'a' is undefined"),
        ("{{ ''.__class__.__mro__ }}", ":1: access to attribute '__class__' of 'str' object is"),
        ("{{ raise_exception('No questions.') }}", ":1: No questions."),
        ("{{ 1 / 0 }}", ":1: division by zero"),
    ],
)
def test_a_files_template_that_is_broken_or_hostile(
    template: str, found: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"tokenizer.chat_template": template})
    with Llama(path, 64, 1) as opened, pytest.raises(UserError) as told:
        list(Chat(opened).answer("What is 3 + 4?"))
    assert str(told.value).startswith(f"x.gguf: tokenizer.chat_template{found}")


def test_a_files_header_that_is_no_utf_8(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {"tokenizer.chat_template": "{{ 1 }}#marker"})
    path.write_bytes(path.read_bytes().replace(b"#marker", b"\xff\xfemarkr"))
    with Llama(path, 64, 1) as opened, pytest.raises(UserError) as told:
        chat_module.template_of(opened)
    assert str(told.value).startswith("the GGUF file: `tokenizer.chat_template` of its header: ")
    assert "  expected: UTF-8\n  hint: the file is damaged" in str(told.value)
