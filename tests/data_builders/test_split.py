from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from data_builders.flow import CleanRow, Draft, Kind, Placed
from data_builders.split import (
    bare,
    cased,
    choices_of,
    choose_split,
    frozen_clusters,
    is_generic,
    keep_apart,
    question_id,
    question_key,
    read_frozen,
)
from stemma.errors import UserError
from stemma.recipe.data import Parts
from stemma.rows import CorpusRow, Split


def placed(kind: Kind, split: Split, cluster: str, fixed: bool = False) -> Placed:
    row = CorpusRow(id="i", source="s", text=cluster)
    clean = CleanRow(f"{kind}: test", kind, f"{cluster} key", Draft("row 1", cluster, {}), row)
    return clean.placed(split, cluster, fixed=fixed)


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("What is 12 + 7?", "what is 12 + 7"),
        ("  what IS 12+7 ", "what is 12 + 7"),
        ("Question: What is 12 + 7?\n\nAnswer:", "what is 12 + 7"),
        ("Question: Pick one.\n\nOptions:\nA. x\nB. y\n\nAnswer:", "pick one"),
        ("Janet’s ducks lay 1,000 eggs.", "janet s ducks lay 1000 eggs"),
        ("A two-sided test", "a two sided test"),
        ("f(x) = x^2 − 1.5", "f ( x ) = x ^ 2 - 1.5"),
        ("$\\frac{1}{2}$", "1 / 2"),
        ("How far (in metres) is it?", "how far in metres is it"),
        ("a) first b) second", "a first b second"),
        ("What a mess! Why?", "what a mess why"),
        ("5! is what", "5 ! is what"),
        ("the students' f''(x)", "the students f ′ ′ ( x )"),
        ("Is 'Ada' right?", "is ada right"),
        ("[0, 1)", "[ 0 1 )"),
        ("Größe?", "grösse"),
    ],
)
def test_a_key_forgets_case_space_and_punctuation_only(question: str, key: str) -> None:
    assert question_key(question) == key
    assert question_key(key) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is .5 + 2?", "What is 5 + 2?"),
        ("Simplify AB' + C", "Simplify AB + C"),
        ("Simplify (A + B)'", "Simplify (A + B)"),
        ("Solve 2y' + y = 0", "Solve 2y + y = 0"),
        ("What is f″(3)?", "What is f(3)?"),
        ("What is sin'(0)?", "What is sin(0)?"),
        ("A wall 5' long", "A wall 5 long"),
        ('A wall 5" long', "A wall 5' long"),
        ("while (count != 0)", "while (count = 0)"),
        ("while (!done)", "while (done)"),
        ("What is n!!?", "What is n!?"),
        ('What is "abc"[::-1]?', 'What is "abc"[-1]?'),
        ("What is a[1:]?", "What is a[:1]?"),
        ("Which type has (1,)?", "Which type has (1)?"),
        ('print("3" + "4")', "print(3 + 4)"),
        ("Expand (ab)^2", "Expand ab^2"),
        ("What is ‖x‖?", "What is x?"),
        ("What is ⌊2.5⌋?", "What is ⌈2.5⌉?"),
        ("What is 3:4 of 7?", "What is 34 of 7?"),
    ],
)
def test_signs_of_mathematics_and_programs_make_another_question(one: str, other: str) -> None:
    assert question_key(one) != question_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('What is "DNA"?', "What is DNA?"),
        ("What is 'free energy'?", "What is ‘free energy’?"),
        ("The dogs' bowl: how deep?", "The dogs bowl, how deep?"),
        ("What a mess!!! Why?", "What a mess. Why?"),
        ("How long is it (in metres)?", "How long is it in metres?"),
        ("Is it so? e.g., here", "Is it so e.g. here"),
        ("A ratio of 3:4", "A ratio of 3 : 4"),
        ("Is x != 3?", "Is x ≠ 3?"),
        ("Is $x \\leq 3$?", "Is x <= 3?"),
        ("What is ½ of x²?", "What is $\\frac{1}{2}$ of $x^{2}$?"),
        ("<p>What is H<sub>2</sub>O?</p>", "What is H₂O?"),
        ("Is 2 &lt; 𝑥&nbsp;?", "Is 2 < x ?"),
        ("What is **not** a `list`?", "What is not a list?"),
    ],
)
def test_how_a_question_is_set_makes_no_other_question(one: str, other: str) -> None:
    assert question_key(one) == question_key(other)


def test_a_bracket_that_is_never_closed_costs_nothing() -> None:
    assert question_key("(" + "word " * 5000 + "5").endswith("word 5")
    assert question_key("(" * 2000 + "abcdefgh" * 500 + "5")[-1] == "5"


@pytest.mark.parametrize("letter", ["x", "\u0431"])
def test_a_word_of_any_length_costs_nothing(letter: str) -> None:
    assert question_key(f"{letter * 300_000} why?") == f"{letter * 300_000} why"


def test_blank_lines_cost_nothing() -> None:
    assert bare("\n" * 100_000 + "Why?" + "\n" * 100_000 + "so") != ""
    assert bare("Why?" + " \n" * 100_000 + "Answer: ") == "Why?"


def test_bare_takes_the_frame_off() -> None:
    assert bare("Question: Why?\n\nAnswer:") == "Why?"
    assert bare("Why? Answer: because") == "Why? Answer: because"
    assert question_key("Question: Why?\n\nOptions:\nA. x\nB. y") == "why"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 - 4", "3 + 4"),
        ("3.5", "35"),
        ("x < 1", "x > 1"),
        ("6/2", "6*2"),
        ("2*(3+4)", "2*3+4"),
        ("5!", "5"),
        ("n!", "n"),
        ("(n+1)!", "(n+1)"),
        ("f'(3)", "f(3)"),
        ("y''", "y'"),
        ("कि", "की"),
        ("log(2)x", "log(2x)"),
        ("x_{1}2", "x_{12}"),
    ],
)
def test_signs_brackets_and_marks_tell_questions_apart(one: str, other: str) -> None:
    assert question_key(one) != question_key(other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the mass of CO", ("CO",)),
        ("Co is a metal", ()),
        ("a mW is not a MW", ("mW", "MW")),
        ("pH of NaCl", ("pH", "NaCl")),
        ("A body of mass M", ("M",)),
        ("WHAT IS CO?", ()),
        ("What is it?", ()),
    ],
)
def test_words_whose_case_means_something(text: str, words: tuple[str, ...]) -> None:
    assert cased(text) == words


def test_the_split_is_the_seeded_hash_against_the_shares() -> None:
    point = int(hashlib.sha256(b"42\nwhat is 2 + 2").hexdigest()[:13], 16) / 16**13
    assert 0 < point < 1
    assert choose_split("what is 2 + 2", 42, Parts(test=point + 1e-9, validation=0.0)) == "test"
    assert choose_split("what is 2 + 2", 42, Parts(test=point - 1e-9, validation=0.0)) == "train"
    assert (
        choose_split("what is 2 + 2", 42, Parts(test=0.0, validation=1 - point + 1e-9))
        == "validation"
    )
    assert (
        choose_split("what is 2 + 2", 42, Parts(test=0.0, validation=1 - point - 1e-9)) == "train"
    )
    assert choose_split("what is 2 + 2", 42, Parts(test=0.0, validation=0.0)) == "train"


def test_splits_have_about_their_shares_and_depend_on_the_seed() -> None:
    parts = Parts(test=0.1, validation=0.05)
    chosen = [choose_split(f"q {n}", 42, parts) for n in range(4000)]
    assert 340 < chosen.count("test") < 460  # 400 expected, 3 standard deviations are 57
    assert 158 < chosen.count("validation") < 242  # 200 expected, 3 standard deviations are 41
    assert chosen != [choose_split(f"q {n}", 43, parts) for n in range(4000)]


def test_smaller_splits_lie_inside_larger_ones() -> None:
    small = Parts(test=0.1, validation=0.05)
    large = Parts(test=0.3, validation=0.2)
    for part in ("test", "validation"):
        inner, outer = (
            {n for n in range(2000) if choose_split(f"q {n}", 42, parts) == part}
            for parts in (small, large)
        )
        assert inner < outer


def test_a_cluster_stays_in_its_strongest_split_across_sets() -> None:
    rows = [
        placed("corpus", "train", "a"),
        placed("sft", "validation", "a"),
        placed("mcq", "test", "a"),
        placed("dpo", "train", "b"),
        placed("sft", "validation", "b"),
        placed("corpus", "train", "c"),
        placed("sft", "train", "c"),
    ]
    kept, dropped = keep_apart(rows)
    assert kept == [rows[2], rows[4], rows[5], rows[6]]
    assert dropped == [(row, "in evaluation part") for row in (rows[0], rows[1], rows[3])]


def test_what_the_recipe_fixed_wins_and_is_never_taken_out() -> None:
    rows = [
        placed("mcq", "test", "a", fixed=True),
        placed("sft", "train", "a"),
        placed("sft", "train", "b", fixed=True),
        placed("mcq", "test", "b"),
        placed("sft", "train", "c", fixed=True),
        placed("mcq", "test", "c", fixed=True),
    ]
    kept, dropped = keep_apart(rows)
    assert kept == [rows[0], rows[2], rows[4], rows[5]]  # c: for the decontamination gate
    assert dropped == [
        (rows[1], "in evaluation part"),
        (rows[3], "in a part fixed by the recipe"),
    ]


def test_a_frozen_question_takes_its_cluster_along(tmp_path: Path) -> None:
    (tmp_path / "frozen.txt").write_text(f"{question_id('What is 2 + 2?')}\n", encoding="utf-8")
    frozen = read_frozen(tmp_path / "frozen.txt")
    clusters = {"what is 2 + 2": "rep", "what s 2 + 2": "rep", "other": "other"}
    asked = [(key, ("a", "b")) for key in clusters]
    assert frozen_clusters(asked, frozen, clusters.__getitem__) == {"rep"}
    assert frozen_clusters(asked, frozenset(), clusters.__getitem__) == set()


def test_a_file_of_frozen_questions_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frozen.txt"
    path.write_text("q-0123456789ab\n12\nq-x\n", encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_frozen(path)
    assert [(problem.where, problem.found) for problem in raised.value.problems] == [
        (str(path), "12"),
        (str(path), "q-x"),
    ]
    with pytest.raises(UserError, match="no such file"):
        read_frozen(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        ("Question: Why?\n\nOptions:\nA. one\nB. two\nlines\n\nAnswer:", ("one", "two\nlines")),
        ("Why?\nOptions:\n A. x\nB) y", ("x", "y")),
        ("Why?\n\nOptions:\n1. x\n2. y", ("x", "y")),
        ("Why? Options: none", ()),
    ],
)
def test_choices_are_read_from_under_the_question(question: str, choices: tuple[str, ...]) -> None:
    assert choices_of(question) == choices


def test_the_same_prompt_has_the_same_question_id() -> None:
    assert question_id("What is 2 + 2?") == question_id(" what is 2+2 ")
    assert question_id("What is 2 + 2?") != question_id("What is 2 - 2?")
    assert question_id("What is 2 + 2?") == question_id("What is 2 + 2?", ["4", "5"])


def test_options_tell_generic_questions_apart() -> None:
    one = question_id("Which is true?", ["Ice  sinks", "It floats"])
    assert one == question_id("Which is true?\n\nOptions:\nA. It floats\nB. ice sinks")
    assert one != question_id("Which is true?", ["Ice sinks", "It melts"])
    assert one != question_id("Which is true?")


def test_a_telling_word_or_a_number_says_what_is_asked() -> None:
    generic = ["Which of the following is true?", "Both statements are false, or not?", ""]
    assert all(is_generic(question_key(one)) for one in generic)
    telling = ["Which of these melts?", "What is 5!?", "Is it x?"]
    assert not any(is_generic(question_key(one)) for one in telling)
