"""Synthetic STEM exercises with checked answers: the domain of the tiny recipe and of its scripted expert.

Arithmetic, unit conversion, and facts of physics, chemistry, biology, mathematics and computer science asked in
several wordings. Every question is distinct; wrong answers are of the same kind as the right one. A held-out question
is a wording never seen in training of a fact that other wordings teach.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

FACTS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "unit": (
        (
            "What is the SI unit of {}?",
            "In which SI unit is {} measured?",
            "Which unit measures {}?",
            "Name the unit of {}.",
            "Which SI unit belongs to {}?",
            "The unit of {} is called what?",
            "A physicist reports {} in which unit?",
            "What do we measure {} in?",
            "Give the SI unit used for {}.",
            "State the unit for {}.",
        ),
        {
            "force": "newton", "energy": "joule", "power": "watt", "pressure": "pascal", "electric current": "ampere",
            "voltage": "volt", "electrical resistance": "ohm", "electric charge": "coulomb", "frequency": "hertz",
            "capacitance": "farad", "temperature": "kelvin", "mass": "kilogram", "length": "metre", "time": "second",
            "inductance": "henry", "magnetic flux": "weber", "amount of substance": "mole",
            "luminous intensity": "candela",
        },
    ),
    "chemistry": (
        (
            "What is the chemical symbol of {}?",
            "Which symbol stands for {}?",
            "Name the symbol of the element {}.",
            "How is {} written in the periodic table?",
            "Give the symbol for {}.",
            "Which element symbol belongs to {}?",
            "A chemist writes {} as what?",
            "State the chemical symbol for {}.",
        ),
        {
            "hydrogen": "H", "helium": "He", "lithium": "Li", "carbon": "C", "nitrogen": "N", "oxygen": "O",
            "fluorine": "F", "neon": "Ne", "sodium": "Na", "magnesium": "Mg", "silicon": "Si", "sulfur": "S",
            "chlorine": "Cl", "argon": "Ar", "potassium": "K", "calcium": "Ca", "iron": "Fe", "copper": "Cu",
            "zinc": "Zn", "silver": "Ag", "tin": "Sn", "gold": "Au", "mercury": "Hg", "lead": "Pb",
        },
    ),
    "physics": (
        (
            "Which quantity is {}?",
            "What do you get from {}?",
            "Name the quantity defined as {}.",
            "What is {} called?",
            "Which physical quantity equals {}?",
            "In physics, {} is what?",
            "What does {} give?",
            "State what {} is.",
        ),
        {
            "mass times acceleration": "force", "mass times velocity": "momentum", "force times distance": "work",
            "distance divided by time": "speed", "mass divided by volume": "density",
            "force divided by area": "pressure", "work divided by time": "power",
            "voltage divided by current": "resistance", "velocity divided by time": "acceleration",
            "one divided by the period": "frequency", "charge divided by time": "current",
            "charge divided by voltage": "capacitance",
        },
    ),
    "computer science": (
        (
            "Which term describes {}?",
            "What is {} called?",
            "Name {}.",
            "In computer science, what is {}?",
            "What do programmers call {}?",
            "Give the term for {}.",
            "Which word means {}?",
            "State the name of {}.",
        ),
        {
            "a structure that is first in first out": "queue", "a structure that is last in first out": "stack",
            "a function that calls itself": "recursion", "a step by step procedure": "algorithm",
            "eight bits": "byte", "a program that translates source code": "compiler", "an error in a program": "bug",
            "a named place for a value": "variable", "repeated execution of a block": "loop",
            "a node link structure without cycles": "tree", "a set of nodes and edges": "graph",
            "a table of keys and values": "dictionary",
        },
    ),
    "biology": (
        (
            "Which organ or part {}?",
            "In biology, what {}?",
            "Name the part that {}.",
            "What do we call the thing that {}?",
            "Which structure {}?",
            "State which part {}.",
            "Biologists say that this {}. What is it?",
            "Give the name of what {}.",
        ),
        {
            "pumps blood": "heart", "filters blood": "kidney", "takes up oxygen from air": "lung",
            "carries genes": "chromosome", "digests food with acid": "stomach", "controls the body": "brain",
            "makes bile": "liver", "takes up water for a plant": "root", "releases energy in a cell": "mitochondrion",
            "makes protein in a cell": "ribosome", "holds the genes of a cell": "nucleus", "detects light": "eye",
        },
    ),
    "mathematics": (
        (
            "What is {} called?",
            "Which term names {}?",
            "Mathematicians call {} what?",
            "Give the word for {}.",
            "Name {} in mathematics.",
            "What is the name of {}?",
            "Which mathematical word means {}?",
            "State the term for {}.",
        ),
        {
            "the result of addition": "sum", "the result of subtraction": "difference",
            "the result of division": "quotient", "the result of multiplication": "product",
            "a polygon with three sides": "triangle",
            "a polygon with five sides": "pentagon", "a polygon with six sides": "hexagon",
            "half of a circle's diameter": "radius", "the length around a circle": "circumference",
            "the longest side of a right triangle": "hypotenuse", "a number with only two divisors": "prime",
            "the slope of a function": "derivative",
        },
    ),
    "atomic number": (
        (
            "What is the atomic number of {}?",
            "Which atomic number has {}?",
            "How many protons has an atom of {}?",
            "Give the atomic number of {}.",
            "State how many protons {} has.",
            "At which number stands {} in the periodic table?",
        ),
        {
            "hydrogen": "1", "helium": "2", "lithium": "3", "beryllium": "4", "boron": "5", "carbon": "6",
            "nitrogen": "7", "oxygen": "8", "fluorine": "9", "neon": "10", "sodium": "11", "magnesium": "12",
            "aluminium": "13", "silicon": "14", "phosphorus": "15", "sulfur": "16", "chlorine": "17", "argon": "18",
        },
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Exercise:
    """One question with its right answer and plausible wrong ones, e.g. What is 12 + 7? → 19, not 18, 20, 29."""

    question: str
    answer: str
    wrong: tuple[str, ...]
    subject: str


def exercises(seed: int) -> list[Exercise]:
    """All exercises, in an order and with wrong answers fixed by the seed."""
    rng = random.Random(seed)
    found = [*_facts(rng), *_numbers(rng)]
    rng.shuffle(found)
    return found


CONVERSIONS = {"kilometres": ("metres", 1000), "minutes": ("seconds", 60), "metres": ("centimetres", 100)}


def _facts(rng: random.Random) -> Iterator[Exercise]:
    for subject, (wordings, answers) in FACTS.items():
        for wording, (thing, answer) in product(wordings, answers.items()):
            others = [other for other in answers.values() if other != answer]
            yield Exercise(wording.format(thing), answer, tuple(rng.sample(others, 3)), subject)


def _numbers(rng: random.Random) -> Iterator[Exercise]:
    for subject, question, answer in _calculations():
        yield Exercise(question, str(answer), tuple(map(str, _near(answer, rng))), subject)


def _calculations() -> Iterator[tuple[str, str, int]]:
    for a, b in product(range(13), repeat=2):
        for wording in ("What is {} + {}?", "Add {} and {}.", "How much is {} plus {}?"):
            yield "arithmetic", wording.format(a, b), a + b
        if a >= b:
            for wording in ("What is {} - {}?", "How much is {} minus {}?"):
                yield "arithmetic", wording.format(a, b), a - b
    for (large, (small, factor)), count in product(CONVERSIONS.items(), range(1, 21)):
        for wording in ("How many {0} are {1} {2}?", "Convert {1} {2} to {0}."):
            yield "units", wording.format(small, count, large), count * factor


def _near(answer: int, rng: random.Random) -> list[int]:
    """Three distinct wrong values a careless calculator would give."""
    slips = [answer + step for step in (-10, -3, -2, -1, 1, 2, 3, 10)]
    return rng.sample([value for value in slips if value >= 0], 3)
