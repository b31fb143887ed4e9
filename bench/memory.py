"""Peak memory as the work grows: evaluation, merge, gates, parity. `python -m bench.memory`.

Each figure is the peak resident memory of a fresh process, interpreter and engines included; where
it starts children, the peak of their sum, sampled every 20 ms. Of work that grows it is the least
of ROUNDS: glibc's heap keeps one batch more in one run and not in the next. `--before FOLDER`
measures another checkout beside this one, the evaluation and the merge gate at a vocabulary of
64,000. `--whole` takes Gemma 2B's true shapes instead, with random weights (16 GB of disk).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.conditions import conditions, processor, sentence
from bench.goals import Goal, goal_table
from bench.process_memory import ROUNDS, Peak, least, measure
from stemma import ROOT
from stemma.table import markdown
from stemma.tensors import Shape, write_tensors
from tests.factories.adapters import make_adapter
from tests.factories.models import TEMPLATE, write_tokenizer

PAIRS = (40, 160, 640)
LETTERS = (200, 800)
TEXTS = (4, 8, 16, 32)
MB = 1e6
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 16}
GEMMA_2B = {
    "hidden_size": 2048,
    "intermediate_size": 16384,
    "num_hidden_layers": 18,
    "head_dim": 256,
}
HEADS = {"num_key_value_heads": 1, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}


def make_model(folder: Path, vocabulary: int, sizes: dict[str, int], dtype: str) -> Path:
    """Random weights, written piece by piece, with the tiny tests' tokenizer."""
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM

    heads = 8 if sizes is GEMMA_2B else 4
    config = GemmaConfig(
        vocab_size=vocabulary, num_attention_heads=heads, dtype=dtype, **HEADS, **sizes
    )
    config.architectures = ["GemmaForCausalLM"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        weights = GemmaForCausalLM(config).state_dict()
    kind = getattr(torch, dtype)
    shapes = {
        name: Shape(kind, tuple(tensor.shape))
        for name, tensor in weights.items()
        if name != "lm_head.weight"
    }
    torch.manual_seed(0)

    def pieces(name: str) -> Iterator[Any]:
        left = shapes[name].sizes[0]
        width = shapes[name].sizes[1:]
        while left:
            rows = min(left, 2048)
            yield (torch.randn((rows, *width)) * (0.02 if width else 0)).to(kind)
            left -= rows

    write_tensors(folder / "model.safetensors", shapes, pieces)
    write_tokenizer(folder)
    return folder


@dataclass(frozen=True)
class Models:
    """What the work is done on."""

    start: Path
    adapter: Path
    merged: Path
    gguf: Path | None


def make_models(folder: Path, vocabulary: int, sizes: dict[str, int], dtype: str) -> Models:
    from stemma.gguf_converter import convert
    from stemma.templates import Template
    from stemma.training.merge import merge_adapter

    start = make_model(folder / "start", vocabulary, sizes, dtype)
    adapter = make_adapter(start, folder / "adapter", scale=0.01)
    merge_adapter(start, adapter, folder / "merged", Template.read(TEMPLATE))
    gguf = None if sizes is GEMMA_2B else folder / "small-F16.gguf"
    if gguf:
        convert(folder / "merged", gguf, "F16", {"general.name": "small"})
    return Models(start, adapter, folder / "merged", gguf)


def growth(found: dict[int, Peak], tokens: int) -> float:
    """Bytes a token by which the peak grew from the smallest work to the largest; `tokens` are of
    one piece: a pair's answers, a question and its letters, a text."""
    few = min(found)
    many = max(found)
    return (found[many].peak - found[few].peak) / ((many - few) * tokens)


def table(
    checkouts: dict[str, Path], models: Models, vocabulary: int
) -> tuple[list[list[str]], list[Goal]]:
    """A row for each piece of work and checkout; the goals by the last checkout's figures."""
    gate = {"adapter": models.adapter, "merged": models.merged}
    works: list[tuple[str, tuple[int, ...], int, dict[str, Any]]] = [
        ("pairs", PAIRS, 100, {"kind": "hf", "model": models.start}),
        ("letters", LETTERS, 35, {"kind": "hf", "model": models.start}),
        ("pairs", PAIRS, 100, {"kind": "gguf", "model": models.gguf}),
        ("merge gate", TEXTS, 256, {"model": models.start, **gate}),
    ]
    rows = []
    goals = dict[str, Goal]()
    for name, checkout in checkouts.items():
        for work, sizes, tokens, job in works:
            called = f"{work}, {job['kind']}" if "kind" in job else work
            found = {count: least(checkout, work=work, count=count, **job) for count in sizes}
            goals[called] = goal(called, found, tokens)
            peaks = ", ".join(f"{found[count].peak / MB:,.0f}" for count in sizes)
            kilobytes = f"{growth(found, tokens) / 1e3:,.2f}"
            rows.append(
                [f"{vocabulary:,}", called, name, ", ".join(map(str, sizes)), peaks, kilobytes]
            )
    return rows, list(goals.values())


def goal(work: str, found: dict[int, Peak], tokens: int) -> Goal:
    """Evaluation's memory does not grow; the gate's stays near what its model takes."""
    if work == "merge gate":
        above = max(peak.peak - peak.before for peak in found.values())
        return Goal("merge gate above interpreter and engines", 1, "GB", above / 1e9)
    return Goal(f"growth, {work}", 1, "KB a token", growth(found, tokens) / 1e3)


def export_rows(checkouts: dict[str, Path], models: Models, scratch: Path) -> list[list[str]]:
    """Parity of a GGUF and an int8 folder on 8 and 32 samples, parent and child together."""
    from export.bnb import quantise_folder
    from stemma.templates import Template

    quantise_folder(models.merged, scratch / "bnb-int8", "int8", Template.read(TEMPLATE))
    paths = {"merged": models.merged, "bnb-int8": scratch / "bnb-int8", "gguf-F16": models.gguf}
    rows = []
    for name, checkout in checkouts.items():
        job = {
            "model": models.merged,
            "template": TEMPLATE,
            "out": scratch / "proof",
            "paths": _texts(paths),
        }
        found = [measure(checkout, work="parity", count=count, **job) for count in (8, 32)]
        rows.append(
            [name, *(f"{peak.together / MB:,.0f} ({peak.peak / MB:,.0f})" for peak in found)]
        )
    return rows


def whole_rows(folder: Path) -> tuple[list[list[str]], float]:
    """Gemma 2B's shapes: each step's peak, and how far the merge gate rose above its one model in
    float32."""
    models = make_models(folder, 256_000, GEMMA_2B, "bfloat16")
    stored = (models.start / "model.safetensors").stat().st_size
    job = {"model": models.start, "adapter": models.adapter, "merged": models.merged}
    bnb = {f"bnb-{kind}": folder / f"bnb-{kind}" for kind in ("int8", "nf4")}
    found = {
        "merge": measure(ROOT, work="merge", template=TEMPLATE, **(job | {"out": folder / "again"}))
    }
    found["merge gate, 2 texts"] = measure(ROOT, work="merge gate", count=2, tokens=128, **job)
    for name, out in bnb.items():
        quantised = {
            "merged": models.merged,
            "out": out,
            "kind": name.removeprefix("bnb-"),
            "template": TEMPLATE,
        }
        found[name] = measure(ROOT, work="quantise", **quantised)
    proof = {
        "paths": _texts({"merged": models.merged} | bnb),
        "out": folder / "proof",
        "template": TEMPLATE,
    }
    found["parity of merged, int8, nf4"] = measure(
        ROOT, work="parity", count=2, model=models.merged, **proof
    )
    found["evaluation, 4 pairs"] = measure(
        ROOT, work="pairs", count=4, kind="hf", model=models.start
    )
    rows = [
        [name, f"{peak.together / 1e9:.2f}", f"{peak.before / 1e9:.2f}"]
        for name, peak in found.items()
    ]
    return rows, found["merge gate, 2 texts"].peak - 2 * stored


def _texts(paths: Mapping[str, Path | None]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout, measured beside this one")
    parser.add_argument("--whole", action="store_true", help="Gemma 2B's true shapes instead")
    return parser.parse_args(arguments)


def small_report(checkouts: dict[str, Path], folder: Path) -> list[Goal]:
    models = make_models(folder / "64k", 64_000, SMALL, "float32")
    head = ("vocabulary", "work", "code", "n", "peak, MB", "KB a token")
    rows, _ = table(checkouts, models, 64_000)
    print("\n".join(markdown(head, rows)) + "\n", flush=True)
    models = make_models(folder / "256k", 256_000, SMALL, "float32")
    rows, goals = table({"after": ROOT}, models, 256_000)
    print("\n".join(markdown(head, rows)) + "\n", flush=True)
    parity = export_rows(checkouts, models, folder)
    print(
        "\n".join(markdown(("code", "parity, 8 samples: all (parent), MB", "32 samples"), parity))
        + "\n"
    )
    return goals


def whole_report(folder: Path) -> list[Goal]:
    rows, above = whole_rows(folder)
    print(
        "\n".join(markdown(("Gemma 2B's shapes", "peak, GB", "of that when it began"), rows)) + "\n"
    )
    together = max(float(row[1]) for row in rows)
    gate = Goal("merge gate above its model in float32", 1, "GB", above / 1e9)
    return [gate, Goal("every step, all processes", 20, "GB", together)]


def main(arguments: list[str] | None = None) -> None:
    given = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="stemma-memory-") as name:
        if given.whole:
            goals = whole_report(Path(name))
        else:
            before = {"before": given.before.resolve()} if given.before else {}
            goals = small_report({"after": ROOT} | before, Path(name))
    print(goal_table(goals))
    runs = (
        "seed 0, one run each"
        if given.whole
        else f"seed 0, the least of {ROUNDS} runs where the work grows"
    )
    sizes = f"{runs}; pairs of 2 x 50 answer tokens, 4 letters a question, texts of 256 tokens"
    command = "python -m bench.memory" + (" --whole" if given.whole else "")
    print(sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
