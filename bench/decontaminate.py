"""The cost of decontamination as the rows grow, on the text that is worst for it.

All rows are of one template.

    .venv/bin/python -m bench.decontaminate [--kinds numbers names …] [--rows 1000 10000 100000]
        [--questions 2000 20000] [--seconds 900]

Each cell is a process of its own, which makes the rows, holds them against the evaluation questions
and says the CPU seconds of that alone, and its peak memory beside what Python and the rows took
before. One that goes on for longer than `--seconds`, or wants more than `--gigabytes`, is stopped
and named. Prints a table in Markdown for bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from bench.conditions import processor
from stemma import ROOT

SEED = 0
NAMES = ("Ada", "Bea", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jane", "Kurt", "Lea")
MATERIALS = ("copper", "iron", "brass", "zinc", "lead", "nickel", "tin", "silver", "steel", "glass")
THINGS = ("rod", "wire", "plate", "sphere", "cube", "ring", "tube", "spring", "disc", "cone")
WORDS = tuple(
    f"{one}{other}" for one in "bdfglmnprst" for other in ("alo", "eri", "ito", "onu", "uma", "yse")
)
BOILERPLATE = "Mark the box corresponding to the correct answer without any penalty."


def numbers(chance: random.Random) -> str:
    """One exercise with other numbers: another exercise, unless all of them stand in the text."""
    mass = chance.randint(1, 100)
    speed = chance.randint(1, 100)
    time = chance.randint(1, 100)
    return (
        f"A car of mass {mass} kg drives on a straight level road at {speed} m/s when the driver "
        "sees a red light "
        f"and brakes evenly, so that the car comes to rest after {time} s. What is the force of "
        "the brakes on the car?"
    )


def names(chance: random.Random) -> str:
    """One exercise without a number.

    Thirteen equal words stand in a row, so every row holds every question.
    """
    who = chance.choice(NAMES)
    what = chance.choice(MATERIALS)
    thing = chance.choice(THINGS)
    return (
        f"{who} heats a long {thing} made of pure {what} over the flame of a burner and then "
        "drops it into a bath of "
        f"cold water that stands in a closed and insulated vessel. Explain to {who} how the "
        "entropy of both changes."
    )


def copies(chance: random.Random) -> str:
    """Ten exercises, again and again."""
    return numbers(random.Random(chance.randrange(10)))


def boilerplate(chance: random.Random) -> str:
    """Different questions behind one sentence that all papers have."""
    return f"{BOILERPLATE} {varied(chance)}"


def varied(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=40))


KINDS: dict[str, Callable[[random.Random], str]] = {
    made.__name__: made for made in (numbers, names, copies, boilerplate, varied)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--questions", nargs="+", type=int, default=[2_000])
    parser.add_argument("--seconds", type=int, default=900)
    parser.add_argument("--gigabytes", type=int, default=16)
    parser.add_argument(
        "--child", nargs=3, metavar=("KIND", "ROWS", "QUESTIONS"), help=argparse.SUPPRESS
    )
    given = parser.parse_args()
    if given.child:
        kind, rows, questions = given.child
        print(json.dumps(measure(KINDS[kind], int(rows), int(questions))))
        return
    print(f"{processor()}, Python {sys.version.split()[0]}, seed {SEED}\n")
    print("| text | rows | questions | rows found | CPU s | peak MB, of which rows and Python |")
    print("|---|---|---|---|---|---|")
    for kind in given.kinds:
        for questions in given.questions:
            for rows in given.rows:
                result = cell([kind, str(rows), str(questions)], given.seconds, given.gigabytes)
                print(f"| {kind} | {rows:,} | {questions:,} | {result} |", flush=True)


def cell(what: Sequence[str], seconds: int, gigabytes: int) -> str:
    """The rest of a line of the table."""
    command = [sys.executable, "-m", "bench.decontaminate", "--child", *what]
    limit = gigabytes * 10**9

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            preexec_fn=bound,
        )
    except subprocess.TimeoutExpired:
        return f"– | over {seconds} | –"
    if "MemoryError" in done.stderr:
        return f"– | – | over {gigabytes:,} GB"
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found = json.loads(done.stdout)
    return f"{found['found']:,} | {found['cpu']:.1f} | {found['peak']:,.0f}, {found['before']:,.0f}"


def measure(make: Callable[[random.Random], str], rows: int, questions: int) -> dict[str, float]:
    from data_builders.filters.decontaminate import EvalQuestion, TrainingTexts, overlaps
    from data_builders.split import question_key
    from stemma.recipe.data import Decontaminate

    chance = random.Random(SEED)
    evaluation = [EvalQuestion("test", f"q{number}", make(chance)) for number in range(questions)]
    asked = [make(chance) for _ in range(rows)]
    train = [
        TrainingTexts(
            f"r{number}",
            "sft: s",
            question_key(text),
            frozenset(),
            (text, f"Let us see: {text} Well."),
        )
        for number, text in enumerate(asked)
    ]
    before = peak_megabytes()
    started = time.process_time()
    found = {overlap.row_id for overlap in list(overlaps(train, evaluation, Decontaminate()))}
    cpu = time.process_time() - started
    return {"found": len(found), "cpu": cpu, "peak": peak_megabytes(), "before": before}


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
