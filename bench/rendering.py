"""What the meter costs a rendering: each chat template of the project by Jinja's plain sandbox and
by the metered one, in turns.

    python -m bench.rendering
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma import ROOT
from stemma.chat_jinja import environment
from stemma.metered_jinja import MeteredTemplate
from stemma.table import markdown

TURNS = (
    {"role": "user", "content": "How many moles are 22 g of CO2 (44 g/mol)? " * 4},
    {"role": "assistant", "content": "22 / 44 = 0.5 mol. " * 10},
)
ROUNDS = 15
TIMES = 400


def main() -> None:
    """Print microseconds of a rendering of two turns, the median of rounds in turns."""
    rows = []
    for path in sorted((ROOT / "recipes" / "templates").glob("*.jinja")):
        text = path.read_text(encoding="utf-8")
        plain = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        ).from_string(text)
        metered = MeteredTemplate(environment(), text, path.name)
        assert rendered(plain.render) == rendered(metered.render)
        found: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for place, render in enumerate((plain.render, metered.render)):
                found[place].append(microseconds(render))
        before, after = map(median, found)
        rows.append([path.name, f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"])
    print("\n".join(markdown(["template", "plain sandbox, µs", "metered, µs", "difference"], rows)))


def rendered(render: Callable[..., str]) -> str:
    """The conversation as text."""
    return render(messages=list(TURNS), bos_token="<bos>", eos_token="<eos>")


def microseconds(render: Callable[..., str]) -> float:
    """CPU time of a rendering."""
    begin = process_time()
    for _ in range(TIMES):
        rendered(render)
    return (process_time() - begin) / TIMES * 1e6


if __name__ == "__main__":
    main()
