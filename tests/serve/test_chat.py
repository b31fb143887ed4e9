from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve import chat as chat_module
from serve.chat import Chat, pieces
from serve.shipped import template_of
from serve.talk import main, recipes
from stemma import ROOT
from stemma.errors import UserError
from stemma.llama import Llama
from stemma.recipe.models import Recipe
from stemma.rows import Message
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work
from tests.from_gguf.files import vocabulary, weights, write_gguf


def talk(recipe: Recipe, run: Run, question: str | None, closed_book: bool = False) -> None:
    """What the verb `chat` does."""
    with recipes(recipe, run, closed_book) as asking:
        main(asking, question)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(tmp_path_factory.mktemp("run"), make_recipe(["gguf-F16"], [{"task": "mcq"}]))


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "ANSWER_TOKENS", 24)


@pytest.fixture
def llama(work: Work) -> Iterator[Llama]:
    with Llama(work.input("export", "gguf-F16"), 2048, 1) as opened:
        yield opened


def test_one_question_is_answered_on_stdout(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    talk(work.recipe, work.run, "What is 3 + 4?")
    out, err = capsys.readouterr()
    assert out.strip()
    assert err in ("", "(cut at 24 tokens)\n")


def test_the_answer_is_the_greedy_one(work: Work, llama: Llama) -> None:
    ids = llama.tokenize("<bos>Question: What is 3 + 4?\n\nAnswer:")
    said = "".join(Chat(llama).answer("What is 3 + 4?"))
    assert said == llama.detokenize(llama.generate(ids, 24)).strip()


def test_turns_are_remembered_with_one_bos_and_the_oldest_forgotten(llama: Llama) -> None:
    chat = Chat(llama, history=True)
    list(chat.answer("What is 3 + 4?"))
    turns = len(chat._turns)
    assert turns in (0, 2)  # an empty answer leaves no turn
    for _ in range(6):
        list(chat.answer("Why is that so? " * 20))
        chat._turns.append(Message(role="user", content="And then?"))
        ids = chat.prompt_ids()
        chat._turns.pop()
        assert ids.count(2) == 1
        assert ids[0] == 2
        assert len(ids) + 24 <= 512 < llama.context_tokens


def asked(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every prompt from here on; each is answered with `7`."""
    seen: list[str] = []
    seven = llama.tokenize(" 7")
    monkeypatch.setattr(
        llama, "stream", lambda ids, *_: seen.append(llama.detokenize(ids)) or iter(seven)
    )
    return seen


def test_each_question_is_asked_alone_until_history_is_switched_on(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(llama, monkeypatch)
    chat = Chat(llama)
    for question in ("What is 3 + 4?", "And 1 + 6?"):
        assert list(chat.answer(question)) == ["7"]
    assert seen[1] == "Question: And 1 + 6?\n\nAnswer:"
    chat.history = True
    list(chat.answer("Why?"))
    assert seen[2].startswith("Question: And 1 + 6?\n\nAnswer: 7")
    assert seen[2].endswith("Question: Why?\n\nAnswer:")
    chat.clear()
    list(chat.answer("Why?"))
    assert seen[3] == "Question: Why?\n\nAnswer:"


def test_an_answer_that_is_stopped_stays_in_the_conversation(
    llama: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asked(llama, monkeypatch)
    chat = Chat(llama, history=True)
    pieces_of = chat.answer("What is 3 + 4?")
    next(pieces_of)
    with pytest.raises(KeyboardInterrupt):
        pieces_of.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    list(chat.answer("Why?"))
    assert seen[1].startswith("Question: What is 3 + 4?\n\nAnswer: 7")


def test_half_a_surrogate_is_refused(llama: Llama) -> None:
    """So Python hands on bytes of the command line that are no UTF-8."""
    with pytest.raises(UserError, match="the question: bytes that are not UTF-8"):
        list(Chat(llama).answer("a\udcff"))


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
        llama, "stream", lambda ids, most, _: asked.append(len(ids) + most) or iter([])
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
    talk(work.recipe, work.run, "What is 3 + 4?")
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
        talk(work.recipe, type(work.run)(tmp_path / "nothing"), "q")


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
        template_of(opened)
    assert str(told.value).startswith("the GGUF file: `tokenizer.chat_template` of its header: ")
    assert "  expected: UTF-8\n  hint: the file is damaged" in str(told.value)


WORDS = ["<eq>", "<tool>"]


def with_words(path: Path, **fields: Any) -> Path:
    """A file with `<eq>` as a control token and `<tool>` as an added word, both of the subject."""
    tokens = vocabulary()
    kinds = [3] * 3 + [1] * (len(tokens) - 3)
    plain = weights()["token_embd.weight"]
    return write_gguf(
        path,
        {
            "tokenizer.ggml.tokens": [*tokens, *WORDS],
            "tokenizer.ggml.token_type": [*kinds, 3, 4],
            "llama.vocab_size": len(tokens) + 2,
        }
        | fields,
        {"token_embd.weight": np.concatenate([plain, plain[:2]])},
    )


def test_words_of_the_subject_are_shown_and_marks_of_turns_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Llama(with_words(tmp_path / "x.gguf"), 64, 1) as opened:
        said = opened.tokenize("<|im_start|>a <eq> b<tool><|endoftext|>")
        monkeypatch.setattr(opened, "stream", lambda *_: iter(said))
        chat = Chat(opened, history=True, foreign=True)
        assert "".join(chat.answer("q")) == "a <eq> b<tool>"
        assert opened.detokenize(said) == "a  b<tool>", "what evaluation compares is as before"
        typed = chat._prompts.ids([Message(role="user", content="a <eq>")])
        assert opened.tokenize("<eq>")[0] not in typed, "typed by a user it is text"
        chat._turns.append(Message(role="user", content="and?"))
        assert opened.tokenize("<eq>")[0] in chat.prompt_ids(), "said by the model it is its word"


def test_a_foreign_file_gets_its_first_token_from_llama_cpp(tmp_path: Path) -> None:
    """Stemma's own templates write it; of others many leave it to the reader."""
    plain = "{{ messages[0].content }}:{{ strftime_now('') }}"
    fields = {"tokenizer.chat_template": plain, "tokenizer.ggml.add_bos_token": True}
    with Llama(write_gguf(tmp_path / "x.gguf", fields), 64, 1) as opened:
        chat = Chat(opened, foreign=True)
        chat._turns.append(Message(role="user", content="hi"))
        assert chat.prompt_ids() == [1, *opened.tokenize("hi:")]
        with pytest.raises(UserError, match="today's date"):
            Chat(opened)


def test_a_foreign_answer_ends_where_the_template_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header names another end."""
    path = write_gguf(tmp_path / "x.gguf", {"tokenizer.ggml.eos_token_id": 0})
    with Llama(path, 64, 1) as opened:
        stops: list[list[int]] = []
        monkeypatch.setattr(opened, "stream", lambda _ids, _most, stop: stops.append(stop) or [])
        list(Chat(opened, foreign=True).answer("hi"))
        assert stops == [[2]]
