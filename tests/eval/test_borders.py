"""The border between prompt and letter, as the tokens of each family have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram

from eval.backends.interface import Ids, request_of, requests_of
from stemma import ROOT
from stemma.rows import LETTERS, McqRow
from stemma.templates import Rendered, Template, rendered_choices, special_tokens
from tests.factories.families import SPLIT, VOCABULARY_OF, write_tokenizer_of

ENDS_WITH_A_BLANK = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}"
    "Question: {{ message.content }}\n\nAnswer: {% else %}{{ message.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)
ENDS_BARE = ENDS_WITH_A_BLANK.replace("Answer: {% else %}", "Answer:{% else %} ")
QUESTION = McqRow(
    id="1",
    source="s",
    question="Which unit measures force?",
    choices=["newton", "joule", "watt", "pascal"],
    answer="A",
)
SPECIAL_TEXTS = ("<s>", "</s>")
FAMILIES = {
    "gemma": "qa.jinja",
    "qwen2": "chatml.jinja",
    "llama": "llama3.jinja",
    "smollm2": "smollm2.jinja",
}


class Tokens:
    """A backend's tokenizer without its weights."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.asked = 0

    def tokenize(self, text: str) -> Ids:
        self.asked += 1
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def texts(self, ids: Ids) -> list[str]:
        return [str(self._tokenizer.id_to_token(one)) for one in ids]


def byte_pairs(kind: str) -> Tokenizer:
    """Byte pairs as a family cuts text, with a piece for each letter behind a blank."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(f"Ġ{letter}" for letter in LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[("Ġ", letter) for letter in LETTERS]))
    words = pre_tokenizers.Split(Regex(SPLIT[VOCABULARY_OF[kind]]), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in SPECIAL_TEXTS])
    return tokenizer


def sentence_pieces(before_all: str) -> Tokenizer:
    """SentencePiece as Gemma's, with a piece for each letter behind a blank; `before_all` is what
    it puts before whatever it is given: a blank, as Llama 2's does, or nothing."""
    letters = [chr(code) for code in range(97, 123)]
    pieces = ["▁", *LETTERS, *letters, *":.?\n", *(f"▁{letter}" for letter in LETTERS)]
    model = Unigram([("<unk>", 0.0), *((one, -9.0 - len(one)) for one in pieces)], unk_id=0)
    tokenizer = Tokenizer(model)
    blanks = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(before_all), blanks])
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in SPECIAL_TEXTS])
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "qwen2": lambda: byte_pairs("qwen2"),
    "llama": lambda: byte_pairs("llama"),
    "smollm2": lambda: byte_pairs("smollm2"),
    "gemma": lambda: sentence_pieces(""),
    "llama 2": lambda: sentence_pieces("▁"),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("qwen2", "llama", "smollm2")]


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokens(request: pytest.FixtureRequest) -> Tokens:
    """A family's way of cutting text, with few pieces."""
    return Tokens(KINDS[request.param]())


def whole_ids(tokens: Tokens, text: Rendered) -> list[Ids]:
    return [tokens.tokenize(text.prompt + answer) for answer in text.answers]


def asked(template: str, choices: int = 4) -> Rendered:
    row = QUESTION.model_copy(update={"choices": [f"c{n}" for n in range(choices)]})
    return rendered_choices(row, Template(template, "<s>", "</s>"))


@pytest.mark.parametrize("template", [ENDS_WITH_A_BLANK, ENDS_BARE])
def test_the_letter_is_one_token_on_either_side_of_the_blank(tokens: Tokens, template: str) -> None:
    text = asked(template)
    request = request_of(tokens, text)
    blank = "▁" if "▁" in "".join(tokens.texts(request.prompt)) else "Ġ"
    assert [tokens.texts(one) for one in request.answers] == [[blank + x] for x in "ABCD"]
    assert [request.prompt + one for one in request.answers] == whole_ids(tokens, text)


def test_a_letter_at_the_start_of_a_line_is_the_bare_one(tokens: Tokens) -> None:
    text = asked(ENDS_BARE.replace("Answer:{% else %} ", "Answer:\n{% else %}"))
    request = request_of(tokens, text)
    assert [tokens.texts(one) for one in request.answers] == [[x] for x in "ABCD"]
    assert [request.prompt + one for one in request.answers] == whole_ids(tokens, text)


def test_a_blank_that_the_tokenizer_adds_is_none_of_the_letter() -> None:
    tokens = Tokens(sentence_pieces("▁"))
    assert tokens.texts(tokens.tokenize(" A")) == ["▁", "▁A"]  # alone it is another text
    request = request_of(tokens, Rendered("<s>Answer:", (" A", " B")))
    assert [tokens.texts(one) for one in request.answers] == [["▁A"], ["▁B"]]


def test_letters_of_several_pieces_are_scored_whole(tmp_path: Path) -> None:
    write_tokenizer_of(tmp_path, "gemma")  # the small one, with no piece for most letters
    tokens = Tokens(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    text = asked(ENDS_BARE.replace("<s>", "<bos>"), choices=26)
    request = request_of(tokens, text)
    assert [request.prompt + answer for answer in request.answers] == whole_ids(tokens, text)
    assert len({tuple(answer) for answer in request.answers}) == 26
    assert {len(answer) for answer in request.answers} == {2}


def test_one_look_at_a_template_s_border_serves_for_all_rows(tokens: Tokens) -> None:
    text = asked(ENDS_BARE)
    texts = [Rendered(f"{n} {text.prompt}", text.answers) for n in range(50)]
    tokens.asked = 0
    requests_of(tokens, texts)
    borders, rows = 3 * 4, 50 * (1 + 4)  # three texts a border; prompts and letters
    assert tokens.asked == borders + rows


@pytest.mark.parametrize("kind", ["gemma", *SLOW])
def test_each_family_s_own_template_scores_the_tokens_of_the_whole_text(
    kind: str, tmp_path: Path
) -> None:
    write_tokenizer_of(tmp_path, kind)
    tokens = Tokens(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    own = (ROOT / "recipes/templates" / FAMILIES[kind]).read_text(encoding="utf-8")
    for template in own, ENDS_WITH_A_BLANK, ENDS_BARE:
        text = rendered_choices(QUESTION, Template(template, *special_tokens(tmp_path)))
        request = request_of(tokens, text)
        assert [request.prompt + answer for answer in request.answers] == whole_ids(tokens, text)
        if kind != "gemma":
            assert {len(answer) for answer in request.answers} == {1}
