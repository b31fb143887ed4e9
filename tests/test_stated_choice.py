from __future__ import annotations

import ast
import json
import re

import pytest

from stemma import ROOT
from stemma.answers import judge
from stemma.answers.options import stated_choice, stated_choices

NUMBERS = ["12", "16", "18.5", "1,600", "1/2"]
WORDS = ["mitochondria", "the nucleus", "ribosomes", "the cell wall"]
BLOOD = ["A", "B", "AB", "O"]
SHARED = ROOT.parent / "shared" / "data"


@pytest.mark.parametrize(
    ("answer", "choices", "letter"),
    [
        # Announced by letter.
        ("Answer: B", NUMBERS, "B"),
        ("Answer: [B]", NUMBERS, "B"),
        ("[B]", NUMBERS, "B"),
        ("<answer>B</answer>", NUMBERS, "B"),
        ("The answer could be B.", NUMBERS, None),
        ("Perhaps the answer is B.", NUMBERS, None),
        ("… 3 x 4 is 12.\n\nAnswer: A", NUMBERS, "A"),
        ("answer : a", NUMBERS, "A"),
        ("so x = 16 the answer is b .", NUMBERS, "B"),
        ("**The correct answer is (C)**", NUMBERS, "C"),
        ("### Answer\n\n**B**", NUMBERS, "B"),
        ("The answer is therefore option D, because 40 times 40 is 1600.", NUMBERS, "D"),
        ("The correct option among the given choices is (C).", NUMBERS, "C"),
        ("Correct answer - A", NUMBERS, "A"),
        ("ANS:D", NUMBERS, "D"),
        ("ANSWER D 1600", NUMBERS, "D"),
        ("Answer C)18.5", NUMBERS, "C"),
        ("The final answer is \\boxed{D}.", NUMBERS, "D"),
        ("Hence \\(\\boxed{\\text{(B)}}\\)", NUMBERS, "B"),
        ("The answer is A because half of 24 is 12.", NUMBERS, "A"),
        ("The answer is B, not C.", NUMBERS, "B"),
        ('"9 / 18 is half . answer is ( e )"', NUMBERS, "E"),
        ("#### A) 12\nToo small.\n#### B) 16\nIt fits.\n\n**Answer: B**", NUMBERS, "B"),
        (
            "A. 12: wrong, too small.\nB. 16: right.\nC. 18.5: wrong.\n\n"
            "So I decide for B.\nAnswer: B",
            NUMBERS,
            "B",
        ),
        (
            "To answer this, look at each option:\n\nA. 12 is small.\nB. 16 fits.\n\n"
            "So the answer is option B.",
            NUMBERS,
            "B",
        ),
        # Called correct.
        ("Option B is correct.", NUMBERS, "B"),
        ("0.5 it is, option e is correct", NUMBERS, "E"),
        ("Thus, C is the correct answer", WORDS, "C"),
        ("Hence (A) is the correct option, since energy is made there.", WORDS, "A"),
        # Alone at the start or the end.
        ("B", NUMBERS, "B"),
        ("c", NUMBERS, "C"),
        ("(B)", NUMBERS, "B"),
        ("B.", NUMBERS, "B"),
        ("A\n\nThey make the cell's energy.", WORDS, "A"),
        ("B. the nucleus, where the genes are.", WORDS, "B"),
        ("C) Ribosomes build proteins. A) is wrong.", WORDS, "C"),
        ("Proteins are built there. Hence C.", WORDS, "C"),
        # By its text; numbers are compared as numbers.
        ("the answer is 12", NUMBERS, "A"),
        ("The answer is 18.50.", NUMBERS, "C"),
        ("So the answer is $1600.", NUMBERS, "D"),
        ("\\boxed{\\frac{1}{2}}", NUMBERS, "E"),
        ("The answer is the ribosomes, which build proteins.", WORDS, "C"),
        ("Nucleus.", WORDS, "B"),
        ("The correct answer is A and C.", [*WORDS[:3], "A and C"], "D"),
        # No commitment.
        ("", NUMBERS, None),
        ("A cell has a wall.", WORDS, None),
        ("A line through B meets C.", NUMBERS, None),
        ("The answer is a vector.", NUMBERS, None),
        ("The answer is A line.", NUMBERS, None),
        ("Let the answer be x.", NUMBERS, None),
        ("The answer is 120.", NUMBERS, None),
        ("The answer is 12.5", NUMBERS, None),
        ("The answer is 12 cm.", NUMBERS, None),
        ("The answer is not B.", NUMBERS, None),
        ("If the answer is B, x would be 16.", NUMBERS, None),
        ("An incorrect answer is B.", NUMBERS, None),
        ("Option B is incorrect.", NUMBERS, None),
        ("The answer is D vitamins", WORDS, None),
        ("E. coli is a bacterium.", [*WORDS, "a virus"], None),
        ("The answer is F.", NUMBERS, None),
        ("I do not know.", NUMBERS, None),
        ("Answer: " + "9" * 10_000, NUMBERS, None),  # a model in a loop
        ("Answer (A) is wrong, for 12 is too small.", NUMBERS, None),
        ("The student answers 5 of 12 questions.", NUMBERS, None),
        # More than one.
        ("The correct answers are:\nA. 12\nC. 18.5", NUMBERS, None),
        ("The correct answer is A) 12 and C) 18.5", NUMBERS, None),
        ("The answer is B or C.", NUMBERS, None),
        ("The correct answers are A, B and D.", NUMBERS, None),
        ("The answer is B.\nNo: the answer is C.", NUMBERS, None),
        ("Answer: B. 12", NUMBERS, None),
        ("A. 12 B. 16 C. 18.5", NUMBERS, None),
        ("Answer: 7", ["7", "7.0", "8"], None),
        ("Answer: B", BLOOD, "B"),
        ("Answer: A", ["B", "A"], None),
    ],
)
def test_the_option_an_answer_commits_to(
    answer: str, choices: list[str], letter: str | None
) -> None:
    assert stated_choice(answer, choices) == letter


def test_all_options_an_answer_picks() -> None:
    assert stated_choices("The answer is B or C.", NUMBERS) == {"B", "C"}
    assert stated_choices("Answer: B. 12", NUMBERS) == {"A", "B"}
    assert stated_choices("The correct options are: B, C", NUMBERS) == set(
        "ABCDE"
    )  # how many, nobody asked
    assert stated_choices("Hard to say.", NUMBERS) == stated_choices("Answer: F", NUMBERS) == set()


@pytest.mark.skipif(not (SHARED / "mathqa").exists(), reason="the real MathQA file is not here")
def test_real_rationales_are_read_rightly_or_not_at_all() -> None:
    rows = [
        json.loads(line)
        for line in (SHARED / "mathqa" / "test1000.jsonl").read_text("utf-8").splitlines()
    ]
    read = [
        (stated_choice(row["rationale"], _options(row["options"])), row["correct"].upper())
        for row in rows
    ]
    stated = [letter == gold for letter, gold in read if letter]
    assert len(stated) >= 840, "measured: 850 of 1,000; most others end in a bare lower-case letter"
    assert sum(stated) / len(stated) >= 0.995, "measured: 848 of 850"


def _options(text: str) -> list[str]:
    text = " , ".join(ast.literal_eval(text)) if text.startswith("[") else text
    return [option.strip() for option in re.split(r"(?:^|\s*,\s*)[a-e] \) ", text)][1:]


MANY = [f"option number {number}" for number in range(101, 113)]


@pytest.mark.parametrize(
    "answer",
    ["K", "The answer is K.", "(K)", "K. Because it is so.", "So K is the correct answer."],
)
def test_letters_beyond_ten_are_read_where_there_are_so_many_options(answer: str) -> None:
    assert stated_choice(answer, MANY) == "K"
    assert stated_choice(answer, MANY[:10]) is None


@pytest.mark.parametrize("letter", ["B", "K"])
def test_what_is_said_of_an_option_is_read_alike_for_all_letters(letter: str) -> None:
    """Of twelve options; of ten, K is the name of a quantity."""
    assert stated_choice(f"Answer {letter} is option C: no.", MANY) is None
    assert stated_choice(f"The answer, unlike {letter} or D, is A.", MANY) is None
    assert judge(f"The answer is {letter}.", "newton", MANY) == "undecided"
    assert judge("The answer is K.", "newton", MANY[:10]) == "wrong"


@pytest.mark.parametrize(
    "told",
    [
        "I choose {}.",
        "I'd choose ({}) because it fits.",
        "So I pick option {}, since it fits.",
        "I go with {}",
        "I would select {} as it is the cell's core.",
        "I chose {} as my answer.",
        "It must be {}.",
        "It must be {}, not A.",
        "It must therefore be {}",
        "12 is too small. This has to be {}!",
        "Decision: {}",
        "12 is too small.\n\n**Decision:** {}",
        "My answer: {}",
        "Final choice: {}",
        "My choice is {}.",
        "Decision: option {}. 16",
        "**Selection**: ({})\nIt fits.",
        "Therefore, my pick: {}",
        "Verdict: {}) 16",
    ],
)
def test_a_choice_that_is_told_without_the_word_answer(told: str) -> None:
    assert stated_choice(told.format("B"), NUMBERS) == "B"
    assert stated_choice(told.format("K").replace("16", "so"), MANY) == "K"


@pytest.mark.parametrize(
    "told",
    [
        "It must be B vitamins.",
        "It must be 16 at this step, but that is no answer.",
        "I choose A as the origin.",
        "I choose A line.",
        "It must be A - B.",
        "It must be B + C = D.",
        "It must not be B.",
        "I would not choose B.",
        "I do not choose B.",
        "If I choose B, x is 16.",
        "Why would I choose B?",
        "Should I choose B?",
        "Must it be B?",
        "It must be B?",
        "I choose B or C.",
        "Decision: B, C",
        "Decision: B and C",
        "Decision: B vitamins",
        "Decision: B. 12",
        "It might be B.",
        "Perhaps it must be B.",
        "The decision: B was a good place to live.",
        "I choose B. No, I choose C.",
        "It must be F.",
        "I choose a.",
        "We say I choose B-trees.",
        "I pick B's mass.",
    ],
)
def test_what_only_looks_like_a_choice_is_none(told: str) -> None:
    assert stated_choice(told, NUMBERS) is None


def test_one_of_many_options_is_one() -> None:
    assert stated_choice("The answer is A or L.", MANY) is None


PLANETS = ["Mars", "Venus", "Saturn", "Mercury"]


@pytest.mark.parametrize(
    ("reply", "gold", "verdict"),
    [
        ("C. Mercury is a planet, since it is close to the sun.", "Saturn", "undecided"),
        ("C. Mercury is a planet, since it is close to the sun.", "Mars", "wrong"),
        ("C. Saturn is a planet with rings.", "Saturn", "right"),
        ("C. It is the planet with rings, which Mercury is not.", "Saturn", "right"),
        ("The answer is B or D.", "Saturn", "wrong"),  # whichever is meant
        ("The answer is B or C.", "Saturn", "undecided"),
        ("The correct answers are B and D.", "Saturn", "undecided"),  # how many, nobody asked
    ],
)
def test_a_letter_beside_another_options_text_says_two(reply: str, gold: str, verdict: str) -> None:
    assert judge(reply, gold, PLANETS) == verdict
