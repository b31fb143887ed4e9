from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from time import process_time

import pytest

from stemma import ROOT
from stemma.answers import judge, states_gold
from stemma.answers.quantities import value
from stemma.answers.units import unit_at

SHARED = ROOT.parent / "shared" / "data"

NUMBERS = [
    ("19", "19", "right"),
    ("20", "19", "wrong"),
    ("190", "19", "wrong"),
    ("19.0", "19", "right"),
    ("-3", "3", "wrong"),
    ("12 + 7 = 19.", "19", "right"),
    ("12 + 7 = 18", "19", "wrong"),
    ("12 + 7 is 19", "19", "right"),
    ("19 is 12 + 7", "19", "right"),
    ("5-3", "3", "undecided"),  # nothing is worked out
    ("19 minus 7 is 12, so it is 19.", "19", "undecided"),
    ("The answer is 19 because 12 + 7 = 19, not 20.", "19", "right"),
    ("The answer is 19 because 12 + 7 = 19, not 20.", "20", "wrong"),
    ("12 + 7 = 19, not 20.", "19", "right"),
    ("It is not 20 but 19.", "19", "right"),
    ("It is not 19 but 20.", "19", "wrong"),
    ("It is not 19.", "19", "wrong"),
    ("x = 3 or 4", "3", "undecided"),
    ("The answer is 17 or 18.", "18", "undecided"),
    ("x = ±3", "3", "undecided"),
    ("x = \\pm 3", "3", "undecided"),
    ("The answer is x = -4.", "-4", "right"),
    ("The answer is \u22124.", "-4", "right"),
    ("-4", "\u22124", "right"),
    ("The cost is $1,234.50", "1234.5", "right"),
    ("She makes 9 * 2 = $18 every day.\n#### 1,800", "1800", "right"),
    ("1{,}800", "1800", "right"),
    ("1\u202f800", "1800", "right"),
    ("12 000", "12,000", "right"),
    ("1.000.000", "1", "undecided"),
    ("3,5", "3", "undecided"),
    ("3.0 x 10^8", "3e8", "right"),
    ("3.0 \\times 10^{8}", "3e8", "right"),
    ("$3 \\cdot 10^8$", "300,000,000", "right"),
    ("3 × 10⁸", "3.0 x 10^8", "right"),
    ("3e8 m/s", "3.0 x 10^8 m/s", "right"),
    ("3 x 10^-8", "3e8", "wrong"),
    ("10^8", "10", "undecided"),
    ("\\frac{1}{2}", "1/2", "right"),
    ("\\boxed{\\frac{1}{2}}", "0.5", "right"),
    ("1/2", "\\frac12", "right"),
    ("4/6", "2/3", "right"),
    ("The answer is 0.51.", "1/2", "wrong"),
    ("0.67", "2/3", "undecided"),  # rounded
    ("about 9.81", "9.8", "undecided"),
    ("about .5", "0.5", "right"),
    ("50%", "50%", "right"),
    ("50 percent", "50%", "right"),
    ("50\\%", "50", "right"),
    ("0.5", "50%", "right"),
    ("50", "50%", "undecided"),
    ("5!", "5", "undecided"),  # a factorial, or a cheerful 5
    ("5", "5!", "wrong"),
    ("5!", "5!", "right"),
    ("2x", "2", "undecided"),
    ("2\\pi", "2", "undecided"),
    ("√2", "2", "undecided"),
    ("\\boxed{42}", "42", "right"),
    ("#### 42", "42", "right"),
    ("She makes 9 * 2 = $18 every day at the market.\nA: 18", "18", "right"),
    ("The answer in percent: 2 of 8 is 2 wearers / 8 = 25 %.\nA: 25", "25", "right"),
    ("**18** dollars", "18", "right"),
    ("9*2", "92", "undecided"),
    ("9" * 10_000, "9", "undecided"),
    ("", "5", "undecided"),
    ("I do not know.", "19", "undecided"),
]
UNITS = [
    ("19 m/s", "19 m/s", "right"),
    ("19 m/s", "19", "right"),
    ("19", "19 m/s", "undecided"),
    ("20", "19 m/s", "wrong"),
    ("19 km/h", "19 m/s", "wrong"),
    ("19 meters per second", "19 m/s", "right"),
    ("19 m s^-1", "19 m/s", "right"),
    ("19 m·s⁻¹", "19 m/s", "right"),
    ("3.6 km/h", "1 m/s", "right"),
    ("1000 m", "1 km", "right"),
    ("100 m", "1 km", "wrong"),
    ("5 N m", "5 J", "right"),
    ("the acceleration is 9.8 m/s^2", "9.8", "right"),
    ("The acceleration is 9.8 m/s^2.", "9.8 m/s", "wrong"),
    ("9.8 metres per second squared", "9.8 m/s^2", "right"),
    ("19 mW", "19 MW", "wrong"),
    ("19 MW", "19 MW", "right"),
    ("2 kWh", "7.2 MJ", "right"),
    ("it moves 12 km", "12 km", "right"),
    ("it moves 120 km", "12 km", "wrong"),
    ("The answer is 12 km, because it is far.", "12 km", "right"),
    ("12 apples", "12 apples", "right"),
    ("12 pears", "12 apples", "undecided"),
    ("12", "12 apples", "undecided"),
    ("18 dollars", "18", "right"),
]
TEXTS = [
    ("newton", "newton", "right"),
    ("Newton.", "newton", "right"),
    ("The newton.", "newton", "right"),
    ("It is the newton", "newton", "right"),
    ("NEWTON", "newton", "right"),
    ("Force is measured in newton (N).", "newton", "right"),
    ("joule", "newton", "wrong"),
    ("newtonian", "newton", "wrong"),
    ("It is not newton but joule.", "newton", "wrong"),
    ("It is not newton but joule.", "joule", "right"),
    ("It is newton, not joule.", "newton", "right"),
    (
        "Answer: breadth-first search",
        "breadth-first search",
        "right",
    ),  # the gold holds what else announces
    ("Half is lost.\n\nAnswer: energy is always taken in", "energy is always taken in", "right"),
    ("Answer: energy is never taken in", "energy is always taken in", "wrong"),
    ("It is not the newton.", "newton", "wrong"),
    ("It isn't newton.", "newton", "wrong"),
    ("I do not think that anybody would say newton.", "newton", "undecided"),
    ("Either newton or joule.", "newton", "undecided"),
    ("newton or joule", "joule", "undecided"),
    ("A newton is no energy. It is the joule.", "newton", "undecided"),
    ("It might be newton.", "newton", "undecided"),
    ("The answer is a queue.\nA stack is another thing.", "queue", "right"),
    ("The answer is a stack.", "queue", "wrong"),
    ("a hash table, mostly", "Hash table", "right"),
    ("table hash", "hash table", "wrong"),
    ("", "newton", "undecided"),
    ("Fe", "Fe", "right"),
    ("The symbol is I.", "I", "right"),
    ("I am sure it is iodine.", "I", "wrong"),
    ("Co", "CO", "wrong"),
    ("The symbol is CO.", "Co", "wrong"),
    ("The symbol is Co.", "Co", "right"),
    ("mW", "MW", "wrong"),
    ("mw", "mW", "undecided"),
    ("dna", "DNA", "right"),
    ("No.", "no", "right"),
    ("M", "m", "undecided"),
    ("m/s", "m/s", "right"),
    ("The unit is m/s^2.", "m/s", "wrong"),
    ("f(3)", "f'(3)", "wrong"),
    ("f'(3)", "f'(3)", "right"),
    ("2*3+4", "2*(3+4)", "wrong"),
    ("2 * (3 + 4)", "2*(3+4)", "right"),
    ("n!", "n", "wrong"),
    ("x - 1", "x-1", "right"),
    ("x + 1", "x-1", "wrong"),
    ("की", "का", "wrong"),
    ("का", "का", "right"),
    ("re\u0301sume\u0301", "résumé", "right"),
    ("resume", "résumé", "wrong"),
    ("new\u200bton", "newton", "right"),
    ("Answer: B", "B", "right"),
    ("The answer is B because 2 > 1.", "B", "right"),
    ("Answer: C", "B", "wrong"),
    ("Answer: C", "newton", "undecided"),
    ("The answer is (C).", "newton", "undecided"),
]

# One line a kind of writing: the verdicts by hand.
WRITTEN = [
    ("-\\boxed{5}", "5", "wrong"),
    ("The answer is minus 5.", "-5", "right"),
    ("The answer is minus 5.", "5", "wrong"),
    ("negative 4", "-4", "right"),
    ("\u20134", "-4", "right"),  # an en dash
    ("19 minus 7", "7", "undecided"),
    ("3\u20135", "5", "undecided"),
    ("5 million", "5", "wrong"),
    ("300 million", "3e8", "right"),
    ("5 ± 1", "5", "undecided"),
    ("2\\frac{1}{2}", "2.5", "right"),
    ("2\\frac{1}{2}", "10.5", "wrong"),
    ("The answer is 2 1/2 hours.", "2.5", "right"),
    ("2½", "5/2", "right"),
    ("½", "0.5", "right"),
    ("\\frac{a+b}{c}", "a + b/c", "wrong"),
    ("\\frac{a+b}{c}", "(a+b)/c", "right"),
    ("33.3%", "1/3", "undecided"),
    ("x < 5", "5", "undecided"),
    ("at least 5", "5", "undecided"),
    ("log 5", "5", "undecided"),
    ("sin(30)", "30", "undecided"),
    ("432 / 900 * 100 = > 48 %", "48 %", "right"),
    ("3 + 16 = 19, so the probability - > 3 / 19", "3 / 19", "undecided"),
    ("The answer is five.", "5", "right"),
    ("twelve apples", "12 apples", "right"),
    ("12", "twelve", "right"),
    ("The answer is one of the two.", "1", "undecided"),
    ("one half", "1", "undecided"),
    ("19\\,\\mathrm{m\\,s^{-1}}", "19 m/s", "right"),
    ("19 \\text{ m/s}", "19 m/s", "right"),
    ("19\\,\\frac{\\text{m}}{\\text{s}}", "19 m/s", "right"),
    ("25 degrees Celsius", "25 °C", "right"),
    ("25^\\circ\\text{C}", "25 °C", "right"),
    ("30^\\circ", "30°", "right"),
    ("newtons", "newton", "right"),
    ("Force is measured in newtons.", "newton", "right"),
    ("It is called HTTP.", "HTTPS", "wrong"),
    ("It is the newton-metre.", "newton", "undecided"),
    ("H₂O", "H2O", "right"),
    ("$\\mathrm{H_2O}$", "H2O", "right"),
    ("H$_2$O", "H2O", "right"),
    ("H2O2", "H2O", "wrong"),
    ("Na⁺", "Na+", "right"),
    ("Cl⁻", "Cl-", "right"),
    ("Cl", "Cl-", "wrong"),
    ("It is Cl-.", "Cl", "wrong"),
    ("SO₄²⁻", "SO4^2-", "right"),
    ("$\\mathrm{SO_4^{2-}}$", "SO4^2-", "right"),
    ("SO₄", "SO4^2-", "wrong"),
    ("$\\mathrm{Na}^+$", "Na+", "right"),
    ("(1,2)", "(1, 2)", "right"),
    ("(2, 1)", "(1, 2)", "wrong"),
    ("[1, 2, 3, 4]", "[1, 2, 3]", "wrong"),
    ("1,200 and 3", "1200 and 3", "right"),
    ("print(x, y)", "print(x)", "wrong"),
    ("-x^2", "x^2", "wrong"),
    ("x**2", "x^2", "right"),
    ("2*x", "2x", "right"),
    ("√2", "\\sqrt{2}", "right"),
    ("sqrt(2)", "\\sqrt{2}", "right"),
    ("2\\sqrt{2}", "\\sqrt{2}", "wrong"),
    ("-\\sqrt{2}", "\\sqrt{2}", "wrong"),
    ("π", "\\pi", "right"),
    ("2π", "\\pi", "wrong"),
    ("2 pi", "2\\pi", "right"),
    ("\\dfrac{\\pi}{2}", "π/2", "right"),
    ("x <= 3", "x \\leq 3", "right"),
    ("x < 3", "x ≤ 3", "wrong"),
    ("The answer could be 5.", "5", "undecided"),
    ("Perhaps the answer is newton.", "newton", "undecided"),
    ("<answer>5</answer>", "5", "right"),
    ("2 + 2 is 4.\n<answer>newton</answer>", "newton", "right"),
]

# What 220 replies of a real model showed (tests/judged_replies.jsonl).
SEEN = [
    ("So, half of 46 is 23.", "23", "right"),
    ("So, half of 46 is 22.", "23", "wrong"),
    ("100 minus 37 is indeed 63.", "63", "right"),
    ("3 hours is equal to 3 * 60 minutes, which equals 180 minutes.", "180", "right"),
    ("The period of a 50 Hz wave is 1 second.", "0.02 s", "wrong"),
    ("1/2 of 1/3 is 1/6, so the result is 1/6.", "1/6", "right"),
    ("19 is 12 + 7, and 12 is 5 + 7.", "19", "undecided"),
    ("2 of 8 is 2 wearers.", "2", "undecided"),
    ("4 of 8 is 5 more than 7.", "5", "undecided"),
    ("5 is 3 or 4.", "4", "undecided"),
    ("12 / 50 = 0.24, which is 24%.", "24%", "right"),
    ("12 / 50 = 0.2, which is 24%.", "24%", "undecided"),
    # Answered first, then explained.
    ("The atomic number of carbon is 6. This is because it is a nonmetal.", "6", "right"),
    ("The pH is approximately 7. This is a fundamental property.", "7", "right"),
    ("A cell has 46 of them. That is so. Every cell has.", "45", "wrong"),
    ("First it is 5. Then it is 7. That is all.", "7", "undecided"),
    ("If it is 6, we stop. Otherwise we go on.", "6", "undecided"),
    ("It is not 6. This is because it is a nonmetal.", "6", "wrong"),
    # Cut off.
    ("The chance is 1/6.\n\nSo, the chance to roll a 6 is", "1/6", "right"),
    ("It is 4. In other words, the mean of the set is", "4", "right"),
    ("It is 4. Now we can find the mean by", "4", "undecided"),
    ("A year has 365 days. To find those of a leap year", "365", "undecided"),
    ("So x = 19.\n\nNow we multiply by 2, which gives x =", "19", "undecided"),
    # Words.
    ("It is the siemens per ampere (S/A).", "ampere", "undecided"),
    ("It is the metre squared.", "metre", "undecided"),
    ("The mitochondria make it.", "mitochondrion", "right"),
    ("The bacterium.", "bacteria", "right"),
    ("The arteries.", "artery", "right"),
    ("The bases.", "basis", "wrong"),
]


@pytest.mark.parametrize(("reply", "gold", "verdict"), NUMBERS + UNITS + TEXTS + WRITTEN + SEEN)
def test_the_verdict(reply: str, gold: str, verdict: str) -> None:
    assert judge(reply, gold) == verdict
    assert states_gold(reply, gold) is {"right": True, "wrong": False, "undecided": None}[verdict]


def test_a_text_that_is_a_number() -> None:
    found = [value(text) for text in ("1,000", "-2/4", "3e-4", "$5.", "x", "5 km", "1/0")]
    assert found == [1000, Fraction(-1, 2), Fraction(3, 10000), 5, None, None, None]


def test_units_by_hand() -> None:
    unit, end = unit_at("19 km/h, fast", 2)
    assert unit is not None
    assert (unit.factor, dict(unit.dimensions), end) == (Fraction(5, 18), {"m": 1, "s": -1}, 7)
    assert unit_at("5 pm", 1) == unit_at("5 as before", 1) == unit_at("5 apples", 1) == (None, 1)


def test_the_rule_loads_no_engine() -> None:
    engines = "{'torch', 'numpy', 'transformers', 'pydantic'}"
    code = f"import sys, stemma.answers; print(sorted({engines} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not (SHARED / "gsm8k").exists(), reason="the real GSM8K file is not here")
def test_real_solutions_are_judged_as_their_authors_did() -> None:
    path: Path = SHARED / "gsm8k" / "example_model_solutions.jsonl"
    judged: list[tuple[bool | None, bool]] = []
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        gold = row["ground_truth"].rsplit("A:", 1)[1].strip()
        solutions = [found for found in row.values() if isinstance(found, dict)]
        judged += [(states_gold(one["solution"], gold), one["is_correct"]) for one in solutions]
    known = [said == right for said, right in judged if said is not None]
    assert len(known) / len(judged) >= 0.95
    assert sum(known) / len(known) >= 0.995


@pytest.mark.parametrize(
    "reply",
    [
        "1e99999999",
        "1e-99999999",
        "1" * 9000,
        "." + "1" * 9000,
        "1/" + "1" * 9000,
        "3 x 10^" + "9" * 9000,
    ],
)
def test_a_reply_without_end_is_judged_at_once(reply: str) -> None:
    """10 to the 99,999,999 takes minutes to compute, and Python reads no more than 4,300 digits."""
    assert judge(reply, "3") == "undecided"
    assert judge(f"The answer is {reply}.\nThe answer is 3.", "3") == "right"


@pytest.mark.parametrize(
    "again",
    [
        "2 1/2 ",
        "five ",
        "\\\\frac{1}{2",
        "\\\\sqrt{",
        "_{1",
        "3 ",
        "newton ",
        "x-1+",
        "!",
        "- ",
        "1/",
        "5 m/",
        "the answer is ",
    ],
)
def test_time_grows_with_the_reply_and_not_with_its_square(again: str) -> None:
    """A model that repeats itself for 20,000 characters: each place looking at all took 4 to
    130 s."""

    def seconds(characters: int) -> float:
        begin = process_time()
        for gold in ("3", "5 m", "newton", "n!", "x-1"):
            judge(again * (characters // len(again)), gold)
        return process_time() - begin

    few, many = (min(seconds(characters) for _ in range(2)) for characters in (5_000, 20_000))
    assert many < 9 * few + 0.1, "4 times is in proportion, 16 times its square"


@pytest.mark.parametrize(
    ("reply", "gold", "verdict"),
    [
        (
            "It keeps the nodes in order.\n\nAnswer: breadth-first search",
            "breadth-first search",
            "right",
        ),
        ("Answer: water is polar", "water is polar", "right"),
        ("Answer: energy is always taken in", "energy is always taken in", "right"),
        ("The answer is depth-first. No, the answer is breadth-first.", "depth-first", "undecided"),
    ],
)
def test_a_gold_answer_may_hold_what_links_a_claim(reply: str, gold: str, verdict: str) -> None:
    assert judge(reply, gold) == verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("B", "right"),
        ("(b)", "right"),
        ("B. newton", "right"),
        ("It is a push times a distance, no: a push.\n\nAnswer: B", "right"),
        ("Force is measured in newtons.", "right"),
        ("A", "wrong"),
        ("The answer is C.", "wrong"),
        ("It is not newton but joule.", "wrong"),
        ("A. newton", "undecided"),  # the letter of one, the text of another
        ("A or B", "undecided"),
    ],
)
def test_where_the_question_lists_options_a_letter_is_an_answer(reply: str, verdict: str) -> None:
    assert judge(reply, "newton", ["joule", "newton", "watt"]) == verdict
    assert judge("B", "newton") != "right"  # nobody has said what B is
    assert (
        judge("B", "volt", ["joule", "newton", "watt"]) != "right"
    )  # the gold answer is none of them
