"""DPO on a CPU: a small Gemma with a 256 K-row head.

`python -m bench.dpo` (a few minutes; --rounds, --rows).

Stock Axolotl, its chunked path, the newest TRL (`python -m bench.newest_trl` makes its environment)
and Stemma, each in a process of its own:

1. The loss step (reference, policy, loss, gradients) on the same batches: CPU seconds, interleaved
   round by round, the median of the rounds' ratios; extra memory: how far the resident memory rises
   above what the process held before.
2. Whole steps over all batches of an epoch, interleaved, Stemma with everything on; the pass of its
   reference counted with a third (three epochs).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from bench import newest_trl
from bench.conditions import conditions, processor, sentence
from bench.dpo_process import AT_ONCE, Contestant
from bench.dpo_setting import LOSS_ONLY, Setting, Switches
from bench.dpo_trainers import missing
from bench.goals import Goal, goal_table
from stemma.table import UNKNOWN, markdown

EPOCHS = 3
OTHERS = ("stock", "chunked", newest_trl.NAME)
Seconds = dict[str, list[float]]


def absent() -> dict[str, str]:
    """The contestants that are not here, and what they lack."""
    found = {name: ", ".join(missing(name)) for name in ("stock", "chunked") if missing(name)}
    if newest_trl.interpreter() is None:
        found[newest_trl.NAME] = "`python -m bench.newest_trl`"
    return found


def loss_seconds(
    setting: Setting, names: Sequence[str], rounds: int
) -> tuple[Seconds, dict[str, float]]:
    """CPU seconds of the loss step, by contestant and round, and the loss of the first batch.

    Every round takes other rows, the same for all.
    """
    found: Seconds = {name: [] for name in names}
    with ExitStack() as stack:
        contestants = [stack.enter_context(Contestant(name, setting)) for name in names]
        losses = {
            one.kind: one.ask("loss", *_rows(setting, 0))["loss"] for one in contestants
        }  # warm, too
        for number in range(rounds):
            for one in contestants:
                found[one.kind].append(one.ask("loss", *_rows(setting, number))["cpu_seconds"])
    return found, losses


def _rows(setting: Setting, number: int) -> range:
    start = number * setting.pairs % setting.rows
    return range(start, start + setting.pairs)


def measure_memory(setting: Setting, name: str) -> int:
    """Bytes that a loss step takes beyond the model."""
    with Contestant(name, setting, **AT_ONCE) as one:
        return int(one.ask("memory")["extra_bytes"])


def whole_steps(setting: Setting, names: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """CPU seconds of an epoch's steps by contestant, interleaved, and the padding.

    Of ours also the pass of its reference.
    """
    with ExitStack() as stack:
        with Contestant("ours", setting) as plain:
            building = plain.first["building"]
        switches = {name: Switches() if name == "ours" else LOSS_ONLY for name in names}
        contestants = [
            stack.enter_context(Contestant(name, setting, switches[name])) for name in names
        ]
        found = {one.kind: {"seconds": 0.0, "padding": one.first["padding"]} for one in contestants}
        found["ours"]["reference"] = max(contestants[-1].first["building"] - building, 0.0)
        for one in contestants:
            one.ask("train", 0)
        for _ in range(rounds):
            for number in range(contestants[-1].first["batches"]):
                for one in contestants:
                    found[one.kind]["seconds"] += one.ask("train", number)["cpu_seconds"] / rounds
    return found


def summarise(
    seconds: Seconds, memory: dict[str, int], epoch: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Paces: others' seconds through ours.

    Of the loss step the median of the rounds' own, of the epoch with the reference's pass shared
    out.
    """
    others = [name for name in seconds if name != "ours"]
    ours = epoch["ours"]["seconds"] + epoch["ours"]["reference"] / EPOCHS
    return {
        "loss step": {
            name: {"cpu_seconds": median(seconds[name]), "extra_mb": memory[name] / 1e6}
            for name in seconds
        },
        "loss step, pace": {
            name: median(a / b for a, b in zip(seconds[name], seconds["ours"], strict=True))
            for name in others
        },
        "extra memory, ours through": {name: memory["ours"] / memory[name] for name in others},
        "epoch": epoch,
        "epoch, pace": {name: epoch[name]["seconds"] / ours for name in others},
    }


def goals(found: dict[str, Any]) -> list[Goal]:
    rows = []
    for what, key in (
        ("loss step", "loss step, pace"),
        ("whole epoch, the reference counted", "epoch, pace"),
    ):
        rows.append(_pace(f"{what}: pace against stock Axolotl", 3, found[key], ("stock",)))
        best = [name for name in OTHERS[1:] if name in found[key]]
        rows.append(
            _pace(f"{what}: against the best of {' and '.join(best)}", 1.3, found[key], best)
        )
    memory = found["extra memory, ours through"].get("stock")
    absent_stock = "stock is not installed"
    return [
        *rows,
        Goal(
            "loss step: extra memory against stock Axolotl",
            0.55,
            "×",
            memory,
            unmeasured=absent_stock,
        ),
    ]


def _pace(what: str, bound: float, paces: dict[str, float], names: Collection[str]) -> Goal:
    """Against the quickest of them, whose pace is the least."""
    value = min((paces[name] for name in names if name in paces), default=None)
    return Goal(what, bound, "×", value, at_least=True, unmeasured="not installed")


def report(found: dict[str, Any], context: dict[str, str], without: dict[str, str]) -> str:
    """Markdown, ready for bench/README.md."""
    heads = (
        "trainer",
        "loss step, CPU s",
        "extra MB",
        "ours: pace",
        "ours: memory",
        "epoch, CPU s",
        "ours: pace",
        "padding",
    )
    rows = [_row(found, name) for name in found["loss step"]]
    rows += [
        (name, f"not installed: {lacks}", *[UNKNOWN] * (len(heads) - 2))
        for name, lacks in without.items()
    ]
    apart = max(abs(loss - found["losses"]["ours"]) for loss in found["losses"].values())
    text = (
        f"Losses of the first batch are at most {apart:.1e} from ours. The reference's pass takes "
        "ours "
    )
    text += f"{found['epoch']['ours']['reference']:.2f} s of CPU, once."
    return "\n\n".join(
        (sentence(context), goal_table(goals(found)), "\n".join(markdown(heads, rows)), text)
    )


def _row(found: dict[str, Any], name: str) -> tuple[str, ...]:
    step = found["loss step"][name]
    epoch = found["epoch"][name]
    ratios = [
        UNKNOWN if name == "ours" else f"{found[key][name]:.2f} ×"
        for key in ("loss step, pace", "extra memory, ours through", "epoch, pace")
    ]
    return (
        name,
        f"{step['cpu_seconds']:.3f}",
        f"{step['extra_mb']:,.0f}",
        ratios[0],
        ratios[1],
        f"{epoch['seconds']:.2f}",
        ratios[2],
        f"{epoch['padding']:.0%}",
    )


def main() -> None:
    arguments = parse()
    sizes = {name: getattr(arguments, name) for name in ("rows", "hidden", "vocabulary")}
    setting = replace(Setting(), **sizes)
    without = absent()
    names = [*(name for name in OTHERS if name not in without), "ours"]
    seconds, losses = loss_seconds(setting, names, arguments.rounds)
    memory = {name: measure_memory(setting, name) for name in names}
    found = summarise(
        seconds, memory, whole_steps(setting, names, max(arguments.rounds // 2, 1))
    ) | {"losses": losses}
    text = (
        f"n = {arguments.rounds} rounds, {setting.rows} pairs, {setting.pairs} a step, head of "
        f"{setting.vocabulary:,}"
    )
    command = f"python -m bench.dpo --rounds {arguments.rounds} --vocabulary {setting.vocabulary}"
    context = conditions(command, processor(), f"{text}; seed 0")
    print(
        json.dumps({"setting": asdict(setting), **found}, indent=2),
        report(found, context, without),
        sep="\n\n",
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=256_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
