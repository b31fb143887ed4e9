from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.shipped import template_of
from stemma import ROOT
from stemma.errors import UserError
from stemma.llama import Llama
from stemma.recipe.prompts import PromptFiles
from stemma.retrieval.context import CUT, Contexts
from stemma.retrieval.passages import Hit, Passage
from stemma.retrieval.quoting import MARK
from stemma.templates import Template, question
from tests.factories.models import tiny_gguf
from tests.retrieval.attacks import ATTACKS, QUESTION, Attack

PROMPT = PromptFiles().path("context")
TEMPLATES = sorted((ROOT / "recipes" / "templates").glob("*.jinja"))
BARE = "{% for passage in passages %}[{{ passage.number }}] {{ passage.heading }}\n{{ passage.text }}\n\n{% endfor %}{{ question }}"


def words(text: str) -> int:
    return len(text.split())


def hit(text: str, title: str = "Heat", source: str = "wiki", place: str = "") -> Hit:
    return Hit(Passage("p", title, text, source, place), 1.0, None, None)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "context.jinja"
    path.write_text(BARE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    with Llama(tiny_gguf(), 512, 1) as opened:
        yield opened


def test_passages_stand_numbered_and_quoted_before_the_question(bare: Path) -> None:
    contexts = Contexts(bare, words, 100)
    found = contexts.put("What is\nheat?", [hit("It flows.\n\nAlways.", place="page 3"), hit("b")])
    assert found.text == (
        "[1] Heat (wiki, page 3)\n> It flows.\n> Always.\n\n[2] Heat (wiki)\n> b\n\nWhat is\nheat?"
    )
    assert [one.passage.text for one in found.used] == ["It flows.\n\nAlways.", "b"]
    assert found.tokens == 15
    assert not found.cut


def test_without_passages_the_question_stays(bare: Path) -> None:
    found = Contexts(bare, words, 100).put(" What is heat? ", [])
    assert (found.text, found.used, found.tokens, found.cut) == (" What is heat? ", [], 0, False)


def test_passages_are_left_out_whole_where_the_budget_ends(bare: Path) -> None:
    """A heading takes 3 words here, a passage 1 more than its own."""
    hits = [hit("a " * 10), hit("b " * 20), hit("c " * 3)]
    found = Contexts(bare, words, 21).put("q?", hits)
    assert [one.passage.text[0] for one in found.used] == ["a", "c"]
    assert "[2] Heat (wiki)\n> c c c" in found.text
    assert found.tokens == 21


def test_a_first_passage_too_long_is_cut_at_a_sentence(bare: Path) -> None:
    text = "Heat flows, e.g. from A. Meyer to ice. It never flows back by itself, whatever one may do about it. Never. Ever."
    found = Contexts(bare, words, 20).put("q?", [hit(text), hit("other")])
    assert found.cut
    assert found.used[0].passage.text == text.partition(" It")[0] + CUT
    assert found.tokens <= 20
    assert len(found.used) == 1


def test_a_first_sentence_too_long_is_cut_at_a_word_and_then_anywhere(bare: Path) -> None:
    contexts = Contexts(bare, words, 20)
    assert contexts.put("q?", [hit("long " * 99)]).used[0].passage.text == "long " * 15 + "…"
    characters = Contexts(bare, len, 100).put("q?", [hit("长" * 999)])
    assert characters.cut
    assert characters.tokens == 100
    assert set(characters.used[0].passage.text) == {"长", " ", "…"}


def test_a_model_with_little_room_gets_less(bare: Path) -> None:
    contexts = Contexts(bare, words, 100)
    hits = [hit("a " * 10), hit("b " * 10)]
    assert len(contexts.put("q?", hits, room=20).used) == 1
    assert contexts.put("q?", hits, room=4).text == "q?"
    assert contexts.put("q?", hits, room=-5).text == "q?"
    assert contexts.put("q?", [hit("\u200b \n")], room=3).text == "q?"


def test_a_passage_of_a_megabyte_costs_no_more_than_a_page(llama: Llama) -> None:
    contexts = Contexts(PROMPT, lambda text: len(llama.tokenize(text)), 400)
    for text in ("Heat flows. " * 100_000, "x" * 1_200_000, "长" * 400_000, "<|a|>" * 200_000):
        began = time.process_time()
        found = contexts.put(QUESTION, [hit(text), hit(text), hit("short")])
        assert time.process_time() - began < 2
        assert found.tokens <= 400


def test_a_budget_that_the_prompts_words_fill_is_refused() -> None:
    with pytest.raises(UserError, match=r"rag.context.max_tokens: 20 tokens, and the words of"):
        Contexts(PROMPT, words, 20)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BARE + "{{ question }}", "`question` stands 2 times in it, not once"),
        (BARE.replace("{{ question }}", ""), "`question` stands 0 times"),
        (BARE.replace("{{ passage.text }}", ""), "stands in 0 lines of its own"),
        (BARE.replace("{{ passage.text }}", "Text: {{ passage.text }}"), "in 0 lines of its own"),
        (BARE.replace("[{{ passage.number }}]", ""), "number of passage 1 does not stand in it"),
        (BARE + "{{ answer }}", "cannot be filled in: 'answer' is undefined"),
        (BARE + "{% if %}", "cannot be filled in"),
        (BARE + "{{ ''.__class__.__mro__ }}", "cannot be filled in"),
        ("{{ passages[5].text }}" + BARE, "cannot be filled in"),
    ],
)
def test_a_prompt_that_does_not_hold_its_parts_is_refused(
    bare: Path, text: str, problem: str
) -> None:
    bare.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as told:
        Contexts(bare, words, 100)
    assert problem in str(told.value)
    assert "hint: see recipes/prompts/context.jinja" in str(told.value)


def test_a_missing_prompt_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jinja: no such file"):
        Contexts(tmp_path / "none.jinja", words, 100)


# Attacks: what a passage says cannot end its quotation, nor begin a turn.


def lines_outside(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith(MARK)]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_leaves_its_quotation(attack: Attack) -> None:
    contexts = Contexts(PROMPT, words, 5000)
    honest = contexts.put(QUESTION, [hit("x", "", ""), hit("y")]).text
    found = contexts.put(QUESTION, [attack.hit(), hit("y")])
    assert len(found.used) == 2
    outside = lines_outside(found.text)
    assert len(outside) == len(lines_outside(honest)) == 4  # the prompt, two headings, the question
    assert outside[0] == lines_outside(honest)[0]
    assert outside[1].startswith("[1] ")
    assert outside[2:] == ["[2] Heat (wiki)", QUESTION]
    signs = set(found.text) - {"\n"}
    assert {unicodedata.category(sign) for sign in signs}.isdisjoint({"Cc", "Cf", "Cs"})
    found.text.encode()  # no half characters


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_begins_a_turn_in_any_template(path: Path, attack: Attack) -> None:
    """The marks of turns, read off the template itself, stand as often as in an honest prompt."""
    template = Template.read(path)
    contexts = Contexts(PROMPT, words, 5000)
    frame = template.render(question("¤"), ask=True)
    marks = [part for part in frame.split("¤") if part.strip()]
    texts = [contexts.put(QUESTION, [one]).text for one in (hit("honest"), attack.hit())]
    honest, attacked = (template.render(question(text), ask=True) for text in texts)
    assert [attacked.count(mark) for mark in marks] == [honest.count(mark) for mark in marks]
    for token in (template.bos, template.eos, template.stop(), "<|im_start|>", "<start_of_turn>"):
        assert attacked.count(token) == honest.count(token)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_makes_a_control_token(llama: Llama, attack: Attack) -> None:
    controls = llama.control_tokens()
    assert {"<bos>", "<eos>"} <= set(controls)
    contexts = Contexts(PROMPT, lambda text: len(llama.tokenize(text)), 20_000, controls)
    template = template_of(llama)
    ids = {llama.tokenize(token)[0] for token in controls}
    texts = [contexts.put(QUESTION, [one]).text for one in (hit("honest"), attack.hit())]
    honest, attacked = (
        [one for one in llama.tokenize(template.render(question(text), ask=True)) if one in ids]
        for text in texts
    )
    assert attacked == honest
