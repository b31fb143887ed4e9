r"""Hand-judged replies of real models: the rule's verdicts against a person's, and the same
questions asked again: `.venv/bin/python -m bench.judged_replies`, `… ask MODEL.gguf`.

A row of `tests/judged_replies.jsonl`: `{"model": "instruct", "style": "fraction", "question": "What
is 1/4 + 1/4?", "gold": "1/2", "choices": [], "max_new_tokens": 60, "reply": "1/4 + 1/4 = 2/4, so
the result is $\\frac{2}{4}$.", "cut": false, "verdict": "right", "fresh": false}`. `instruct` is
SmolLM2-135M-Instruct (Q4_1, `stemma.from_gguf.smollm2`), `course` the Q8_0 of recipe
smollm2-course; decoding is greedy. `fresh` rows were judged after the rule had been
mended on the others.

The person marked as one marks an exam: right and wrong are what the reply commits itself to in the
end, undecided is one that commits to nothing, or to two things. A letter that is announced counts,
whatever the explanation says; where letter and text beside it disagree and neither is right, it is
wrong.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from stemma import ROOT
from stemma.answers import judge

FILE = ROOT / "tests" / "judged_replies.jsonl"
VERDICTS = ("right", "wrong", "undecided")
METAL = "Which is a metal?\n\nOptions:\nA. wood\nB. iron\nC. glass"
STYLES: dict[str, tuple[str, tuple[str, str] | None]] = {
    "plain": ("", None),
    "short": ("Answer in a few words.", None),
    "steps": ("Work it out step by step, then state the result.", None),
    "letter": ("Give the letter of the right option.", None),
    "boxed": (
        "Show the calculation and put the final answer in \\boxed{}.",
        (
            "What is 4 times 6?",
            "We calculate $4 \\times 6 = 24$. The final answer is $\\boxed{24}$.",
        ),
    ),
    "letter_first": (
        "Give the letter first, then explain in one sentence.",
        (METAL, "B. Iron is a metal, since it conducts electricity and shines."),
    ),
    "letter_last": (
        "Explain, then give the letter.",
        (METAL, "Metals conduct electricity, and iron does.\n\nAnswer: B"),
    ),
    "units": (
        "Give the result with its unit.",
        (
            "A car drives 100 m in 20 s. What is its speed?",
            "v = s / t = 100 m / 20 s = 5 m/s",
        ),
    ),
    "fraction": (
        "Give the result as a fraction.",
        ("What is 1/5 + 2/5?", "1/5 + 2/5 = 3/5, so the result is $\\frac{3}{5}$."),
    ),
    "scientific": (
        "Give the result in scientific notation.",
        ("Write 45000 in scientific notation.", "$45000 = 4.5 \\times 10^4$"),
    ),
    "percent": (
        "Give the result in percent.",
        ("3 of 10 apples are red. What share is that?", "3 / 10 = 0.3, which is 30%."),
    ),
    "latex": (
        "Answer in LaTeX.",
        (
            "Solve 2x = 8.",
            "Dividing both sides by 2 gives\n\\[\nx = \\frac{8}{2} = 4.\n\\]",
        ),
    ),
    "not": (
        "Say first what it is not, then what it is.",
        (
            "Is the sun a planet, a star or a moon?",
            "The sun is not a planet and not a moon. It is a star.",
        ),
    ),
    "hedged": (
        "If you are not sure, say so.",
        (
            "What is the boiling point of gold?",
            "I am not sure, but it is perhaps about 2,800 °C.",
        ),
    ),
    "marked": (
        "End with a line `#### result`.",
        (
            "Ann has 3 bags of 4 nuts. How many nuts has she?",
            "She has 3 * 4 = 12 nuts.\n#### 12",
        ),
    ),
}
"""By style: the instruction, and the example turn that shows the form."""


def conversation(question: str, style: str) -> str:
    """The prompt as SmolLM2 reads it."""
    told, shown = STYLES[style]
    text = ""
    if shown:
        asked = shown[0] if "Options" in shown[0] else f"{shown[0]} "
        text = _turn("user", f"{asked}{told}" if asked.endswith(" ") else f"{asked}\n\n{told}")
        text += _turn("assistant", shown[1])
    gap = "\n\n" if "Options:" in question else " "
    text += _turn("user", f"{question}{gap}{told}" if told else question)
    return f"{text}<|im_start|>assistant\n"


def _turn(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content}<|im_end|>\n"


def confusion(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """(the person's verdict, the rule's) and how often."""
    return Counter(
        (row["verdict"], judge(row["reply"], row["gold"], row["choices"])) for row in rows
    )


def table(rows: list[dict[str, Any]]) -> str:
    """The confusion table, agreement, and the share of rights that are none."""
    found = confusion(rows)
    lines = [f"n = {len(rows)}; rows: the person, columns: the rule ({', '.join(VERDICTS)})"]
    lines += [f"{one:>9}  {[found[one, other] for other in VERDICTS]}" for one in VERDICTS]
    agreed = sum(found[one, one] for one in VERDICTS)
    rights = sum(found[one, "right"] for one in VERDICTS)
    undecided = sum(found[one, "undecided"] for one in VERDICTS)
    lines.append(
        f"agreement {agreed / len(rows):.3f}, false rights {rights - found['right', 'right']}"
    )
    lines.append(f"called undecided {undecided / len(rows):.3f}")
    return "\n".join(lines)


def ask(path: Path, rows: list[dict[str, Any]]) -> None:
    """Print how many replies the model gives word for word again."""
    from stemma.llama import Llama

    same = 0
    with Llama(path, context_tokens=1024, threads=2) as model:
        for row in rows:
            ids = model.tokenize(conversation(row["question"], row["style"]))
            text = model.detokenize(model.generate(ids, row["max_new_tokens"])).strip()
            same += text == row["reply"]
            print(json.dumps(row | {"reply": text}, ensure_ascii=False))
    print(f"{same} of {len(rows)} word for word as they were judged", file=sys.stderr)


def main() -> None:
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    if sys.argv[1:2] == ["ask"]:
        ask(Path(sys.argv[2]), [row for row in rows if row["model"] == "instruct"])
        return
    for name, fresh in {"judged while the rule was mended": False, "judged after": True}.items():
        part = [row for row in rows if row["fresh"] is fresh]
        print(f"{name}: {table(part)}\n" if part else f"{name}: none\n")


if __name__ == "__main__":
    main()
