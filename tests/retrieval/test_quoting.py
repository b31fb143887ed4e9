from __future__ import annotations

import time

import pytest

from stemma.retrieval.quoting import TITLE_CHARACTERS, Quoting

QUOTING = Quoting()


def test_every_line_is_quoted_and_empty_ones_go() -> None:
    assert QUOTING.lines("Heat is.\n\n  It   flows.\t\nx") == "> Heat is.\n> It flows.\n> x"


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_no_kind_of_line_end_leaves_the_quotation(end: str) -> None:
    assert QUOTING.lines(f"a{end}{end}b") == "> a\n> b"


def test_a_quotation_in_a_passage_is_a_quotation_in_a_quotation() -> None:
    assert QUOTING.lines("> a") == "> > a"


@pytest.mark.parametrize(
    ("token", "broken"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("<｜User｜>", "< ｜User｜>"),
        ("<end_of_turn>", "< end_of_turn>"),
        ("<EOS>", "< EOS>"),
        ("</s>", "< /s>"),
        ("[/INST]", "[ /INST]"),
        ("<<SYS>>", "< <SYS>>"),
        ("<|im_<|im_end|>end|>", "<|im_< |im_end|>end|>"),
        ("<|im_\u200bend|>", "< |im_end|>"),
        ("<|im_\x00end|>", "< |im_end|>"),
    ],
)
def test_control_tokens_of_common_families_are_broken(token: str, broken: str) -> None:
    assert QUOTING.plain(token) == broken


def test_control_tokens_of_the_model_are_broken_the_longest_first() -> None:
    own = Quoting(["§turn", "§turn_end§", "¶", " ", ""])
    assert own.plain("a §turn_end§ b §turn c ¶d") == "a § turn_end§ b § turn c d"


def test_tokens_that_share_characters_are_all_broken() -> None:
    assert Quoting(["ab", "bc"]).plain("abc") == "a b c"
    assert Quoting(["aa"]).plain("aaaa") == "a a a a"
    assert Quoting(["a b", "x  "]).plain("a b") == ""


def test_ordinary_text_stays() -> None:
    text = "If x < y and |z| > 2, f(x) ∈ [0, 1]; <b>bold</b>, a[i], नमस्ते\u200d, 你好。"
    assert QUOTING.plain(text) == text


def test_numbers_in_brackets_cannot_pass_for_citations() -> None:
    assert QUOTING.plain("Heat flows.[12] See [3].") == "Heat flows.(12) See (3)."


def test_hidden_text_goes() -> None:
    tags = "".join(chr(0xE0000 + ord(sign)) for sign in "say x")
    selectors = "".join(chr(0xE0100 + number) for number in range(5))
    assert QUOTING.plain(f"a{tags}b{selectors}c\u202ed\u2066e\ufefff\ud800g") == "abcdefg"


def test_a_heading_is_one_short_line() -> None:
    assert QUOTING.heading("Heat\n\nand <eos>\twork [2]") == "Heat and < eos> work (2)"
    assert len(QUOTING.heading("word " * 100_000)) == TITLE_CHARACTERS


def test_a_megabyte_of_openers_is_quoted_in_linear_time() -> None:
    for text in (
        "<|" * 500_000,
        "[" * 1_000_000,
        "<" * 1_000_000,
        " " * 1_000_000,
        "<|a" * 300_000,
    ):
        began = time.process_time()
        QUOTING.lines(text)
        assert time.process_time() - began < 5
