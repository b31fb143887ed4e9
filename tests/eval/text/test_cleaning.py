from time import process_time

import pytest

from eval.text.cleaning import prose


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Plain words.", "Plain words."),
        ("", ""),
        (" \n\t\n", ""),
        # Markdown
        ("**Force** is *mass* times _acceleration_.", "Force is mass times acceleration."),
        ("# Heading\nText\n===\nmore\n---", "Heading\nText\nmore"),
        ("- one\n* two\n+ three\n• four\n- [x] five", "one\ntwo\nthree\nfour\nfive"),
        ("1. Heat it.\n2) Cool it.", "1. Heat it.\n2) Cool it."),
        ("> quoted\n> > twice", "quoted\ntwice"),
        ("[Newton](https://example.org/a) said so.", "Newton said so."),
        ("![a picture](x.png) See https://example.org/a?b=c now.", "See now."),
        ("| force | mass |\n|---|:--|\n| newton | gram |", "force mass\nnewton gram"),
        ("a <b>bold</b> word<br/>", "a bold word"),
        ("x < 3 and y > 2", "x < 3 and y > 2"),
        ("2 * 3 * 4 and a*b, snake_case", "2 * 3 * 4 and a*b, snake_case"),
        ("\\* no item", "no item"),
        # code
        ("Use `len(x)` here.", "Use here."),
        ("before\n```python\nforce = 1\n```\nafter", "before\nafter"),
        ("before\n~~~\nforce\n```\n~~~\nafter", "before\nafter"),
        ("before\n```\ncut off in the midd", "before"),
        # LaTeX
        ("So $F = ma$ holds.", "So holds."),
        ("It costs $5 and $10.", "It costs $5 and $10."),
        ("We get $x = 4.$ Then go on.", "We get . Then go on."),
        ("\\[\nF = ma.\n\\]\nForce.", ".\nForce."),
        ("We find \\(x\\), \\[y\\] and $$z$$ here.", "We find , and here."),
        ("a\n\\begin{align}\nx &= 1 \\\\\n\\begin{array}{c} 1 \\end{array}\n\\end{align}\nb", "a\nb"),
        ("The \\textbf{force} of \\frac{\\sqrt{2}}{3} \\boxed{4}.", "The force of 3 ."),
        ("cut $$x = 1 +", "cut"),
        ("cut \\[ x = 1 +", "cut"),
        ("cut \\begin{align} x", "cut"),
        # characters
        ("a\x00b\x07c\u202ee\u200b\ufeff", "abce"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("cafe\u0301\r\nnew\rline\u2028end", "café\nnew\nline\nend"),
        ("\u202bالقوة هي الكتلة\u202c.", "القوة هي الكتلة."),
        ("می\u200cشود", "می\u200cشود"),
    ],
)  # fmt: skip
def test_prose(text: str, left: str) -> None:
    found = prose(text)
    assert " ".join(found.replace("\n", " / ").split()) == left.replace("\n", " / ")
    assert prose(found) == found


MARKS = [chr(code) for code in (*range(0x250), 0x202E, 0xD800, 0xFFFF) if chr(code) not in "\\`"]
"""But for the marks of a command and of code, which take the word with them."""


def test_any_character_anywhere_is_read() -> None:
    for mark in MARKS:
        found = prose(f"{mark}Force {mark} is{mark}{mark} here.\n{mark}")
        assert "orce" in found, mark
        assert all(char == "\n" or ord(char) >= 32 for char in found), mark


AGAIN = [
    "$", "$$", "$x ", "\\(", "\\[", "\\begin{a}", "\\end{a}", "`", "```", "``` ", "\n```", "**", "*a", "_a", "[a](",
    "![", "<a ", "<!--", "\\text{", "{", "\\a{", "\\a[", "|", "www.", "> ", "- ", "#", "\\", "\\\\[", " ", "\n",
]  # fmt: skip


@pytest.mark.parametrize("again", AGAIN)
def test_time_grows_with_the_text_and_not_with_its_square(again: str) -> None:
    """100 KB of one mark: a square would take minutes."""
    begin = process_time()
    prose(again * (100_000 // len(again)))
    assert process_time() - begin < 3
