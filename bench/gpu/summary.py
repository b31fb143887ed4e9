"""The GPU bench's figures summed up: best turns, ratios, the report's whole run, goals, Markdown.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.cluster import EPOCHS, GEMMA_2B_DPO, TOKENS_A_SIDE
from bench.conditions import sentence
from bench.goals import Goal, goal_table
from stemma.plan.costs import training_flops
from stemma.plan.settings import CostSettings
from stemma.table import UNKNOWN, markdown

PAIRS = 10_400
"""Of the report's DPO run."""
ON_CPU = "not measured on a CPU"
QUICK_SFT = ("fast", "plain, own head")
"""The contestant whose share of the peak is the goal's.

It is Axolotl, or the plain loop where Axolotl is not installed.
"""
Figures = Mapping[str, Any]


def best_turns(printed: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    """Each contestant's fastest turn.

    And how far its loss of the same batch is from the yardstick's.
    """
    turns: dict[str, list[Figures]] = {}
    for figures in printed:
        turns.setdefault(figures["name"], []).append(figures)
    best = {
        name: {**max(given, key=lambda turn: turn["pairs_per_second"]), "turns": len(given)}
        for name, given in turns.items()
    }
    by = yardstick(turns)
    for found in best.values():
        found["loss_apart"] = abs(found["loss"] - best[by]["loss"]) if by else None
    return {name: with_reference(found, turns) for name, found in best.items()}


def yardstick(names: Collection[str]) -> str | None:
    """TRL's trainer, or the plain loop where TRL is not installed."""
    return next((name for name in ("trl", "plain") if name in names), None)


def with_reference(found: dict[str, Any], turns: Mapping[str, Sequence[Figures]]) -> dict[str, Any]:
    """Pairs a second when a precomputed reference is counted.

    That is what making this trainer took longer than making the yardstick's, once for all epochs.
    The others compute the reference in every step.
    """
    once = 0.0
    by = yardstick(turns)
    if found["name"].startswith("ours") and by:
        quickest = {
            name: min(t["building_seconds"] for t in turns[name]) for name in (found["name"], by)
        }
        once = max(quickest[found["name"]] - quickest[by], 0.0)
    pairs = found["pairs"]
    seconds = pairs / found["pairs_per_second"] + once / EPOCHS
    return found | {"reference_seconds": once, "pairs_per_second_in_all": pairs / seconds}


def reports_minutes(figures: Figures) -> float:
    """The report's whole DPO run at this pace; a run's time goes with its tokens."""
    pace = figures["pairs_per_second_in_all"] * figures["tokens_a_side"] / TOKENS_A_SIDE
    return PAIRS * EPOCHS / pace / 60


def floor_minutes(tflops: float, training: CostSettings = GEMMA_2B_DPO) -> float:
    """The same run if every product ran at the measured peak."""
    tokens = PAIRS * 2 * TOKENS_A_SIDE * EPOCHS
    return training_flops(training, tokens, EPOCHS, TOKENS_A_SIDE) / (tflops * 1e12) / 60


def summarise(
    printed: Sequence[Figures], conditions: Mapping[str, str], cut: Sequence[str], on_gpu: bool
) -> dict[str, Any]:
    """Everything in one JSON object. `cut` are the parts that ran out of time."""
    peaks = {figures["name"]: figures for figures in printed if figures["part"] == "peak"}
    dpo = best_turns([figures for figures in printed if figures["part"] == "dpo"])
    square = peaks["square"]["tflops"] if "square" in peaks else None
    sft = {
        f["name"]: {**f, "share_of_peak": f["tflops"] / square if square else None}
        for f in printed
        if f["part"] == "sft"
    }
    run = {
        "minutes": {name: reports_minutes(figures) for name, figures in dpo.items()},
        "floor_minutes": floor_minutes(square) if square else None,
        "floor_minutes_with_the_reference_in_every_step": floor_minutes(
            square, replace(GEMMA_2B_DPO, precomputed=False)
        )
        if square
        else None,
    }
    found = {
        "conditions": dict(conditions),
        "cut": list(cut),
        "absent": {of: absent(printed, of) for of in ("dpo", "sft")},
        "peak": peaks,
        "dpo": dpo,
        "sft": sft,
        "reports_run": run,
    }
    return found | {"goals": [goal.row() for goal in goals(found, on_gpu)]}


def absent(printed: Sequence[Figures], of: str) -> dict[str, list[str]]:
    """The contestants that are not installed, each with the modules that it lacks."""
    return {
        line["name"]: line["modules"]
        for line in printed
        if line["part"] == "absent" and line["of"] == of
    }


def goals(found: Figures, on_gpu: bool) -> list[Goal]:
    dpo = found["dpo"]
    sft = found["sft"]
    minutes = found["reports_run"]["minutes"]

    def against(other: str, figure: str) -> float | None:
        """`ours` through `other`; None where either was cut, or on a CPU."""
        pair = [dpo[name][figure] if name in dpo else None for name in ("ours", other)]
        return pair[0] / pair[1] if on_gpu and None not in pair else None

    def unmeasured(of: str, name: str) -> str:
        if on_gpu and name in found["absent"][of]:
            return f"{name} is not installed"
        return "cut short" if on_gpu else ON_CPU

    quick = next((name for name in QUICK_SFT if name in sft), None)
    share = sft[quick]["share_of_peak"] if on_gpu and quick else None
    sft_goal = "SFT, share of the matmul peak" + (f" ({quick})" if quick == QUICK_SFT[1] else "")
    quickest = (
        min((minutes[name] for name in minutes if name.startswith("ours")), default=None)
        if on_gpu
        else None
    )
    pace = "pairs_per_second_in_all"
    stock = unmeasured("dpo", "stock")
    trl = unmeasured("dpo", "trl")
    return [
        Goal("DPO, pairs/s against stock Axolotl", 3, "×", against("stock", pace), True, stock),
        Goal("DPO, pairs/s against TRL", 1.5, "×", against("trl", pace), True, trl),
        Goal("DPO, peak memory against TRL", 0.6, "×", against("trl", "peak_gb"), False, trl),
        Goal(sft_goal, 45, "%", share and 100 * share, True, unmeasured("sft", quick or "")),
        Goal("the report's DPO run", 15, "min", quickest, False, unmeasured("dpo", "ours")),
    ]


def report(found: Figures, on_gpu: bool) -> str:
    """Markdown, ready for bench/README.md."""
    parts = [sentence(dict(found["conditions"]))]
    parts += [f"Cut short: {', '.join(found['cut'])}."] if found["cut"] else []
    parts += [goal_table(goals(found, on_gpu)), _run(found["reports_run"]), *_how(found)]
    for title, lines in (
        ("Matrix products", _peaks(found)),
        ("DPO", _dpo(found)),
        ("SFT", _sft(found)),
    ):
        parts += (
            [f"**{title}**", "\n".join(lines)] if len(lines) > 2 else [f"**{title}**: no figures."]
        )
    return "\n\n".join(parts)


def _how(found: Figures) -> list[str]:
    """A description of `ours`.

    It also says how it compares with the plain loop where that had to take TRL's place.
    """
    dpo = found["dpo"]
    parts = [f"`ours` is {dpo['ours']['how']}."] if "ours" in dpo else []
    if {"ours", "plain"} <= dpo.keys():
        ours = dpo["ours"]
        plain = dpo["plain"]
        pace = ours["pairs_per_second_in_all"] / plain["pairs_per_second_in_all"]
        parts[0] += (
            " Against `plain`, a loop with all logits and the reference in every step: pace "
            f"{pace:.2f} ×"
        )
        parts[0] += (
            f", peak memory {ours['peak_gb'] / plain['peak_gb']:.2f} ×."
            if plain["peak_gb"]
            else "."
        )
    return parts


def _not_installed(found: Figures, of: str, columns: int) -> list[tuple[str, ...]]:
    return [
        (name, f"not installed: {', '.join(modules)}", *[UNKNOWN] * (columns - 2))
        for name, modules in found["absent"][of].items()
    ]


def _number(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def _run(run: Figures) -> str:
    each = ", ".join(f"{name} {value:,.1f} min" for name, value in run["minutes"].items())
    return (
        f"The report's DPO run ({PAIRS:,} pairs × {EPOCHS}, {TOKENS_A_SIDE} tokens a side) at "
        "these paces: "
        f"{each or 'unknown'}; "
        f"floor at the measured peak {_number(run['floor_minutes'])} min, "
        f"{_number(run['floor_minutes_with_the_reference_in_every_step'])} with the reference in "
        "every step."
    )


def _peaks(found: Figures) -> list[str]:
    rows = [
        (
            name,
            " × ".join(f"{size:,}" for size in f["shape"]),
            f["dtype"],
            _number(f["tflops"], 2 if f["tflops"] < 10 else 0),
        )
        for name, f in found["peak"].items()
    ]
    return markdown(("product", "shape", "dtype", "TFLOP/s"), rows)


def _dpo(found: Figures) -> list[str]:
    heads = (
        "trainer",
        "pairs/s",
        "with the reference's pass",
        "peak GB",
        "beyond the weights",
        f"Δloss from {yardstick(found['dpo']) or 'TRL'}",
        "padding",
        "logits",
        "gc s/step",
    )
    rows = [
        (
            name,
            _number(f["pairs_per_second"], 2),
            _number(f["pairs_per_second_in_all"], 2),
            _number(f["peak_gb"]),
            _number(f["beyond_weights_gb"]),
            UNKNOWN if f["loss_apart"] is None else f"{f['loss_apart']:.1e}",
            f"{f['padding']:.0%}",
            f["logits"],
            f"{f['gc_seconds_a_step']:.3f}",
        )
        for name, f in found["dpo"].items()
    ]
    return markdown(heads, _not_installed(found, "dpo", len(heads)) + rows)


def _sft(found: Figures) -> list[str]:
    rows = [
        (
            name,
            _number(f["tokens_per_second"], 0),
            f"{f['tflops']:,.2f}",
            UNKNOWN if f["share_of_peak"] is None else f"{f['share_of_peak']:.1%}",
            _number(f["peak_gb"]),
            f"{f['padding']:.0%}",
            f"{f['loss']:.3f}",
        )
        for name, f in found["sft"].items()
    ]
    heads = ("settings", "tokens/s", "TFLOP/s", "share of the peak", "peak GB", "padding", "loss")
    return markdown(heads, _not_installed(found, "sft", len(heads)) + rows)
