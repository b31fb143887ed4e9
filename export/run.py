"""Stage `export`: merge the adapter, make every format of the recipe, prove each against merged."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from export.bnb import quantise_folder
from export.conversations import read_trial
from export.merged import make_merged, merged_gates
from export.proof import prove
from export.quantise import quantise
from export.trained_on import trained_on
from stemma.digests import size_of
from stemma.files import publish, remove_parts
from stemma.gate import Gate, demand, failed, recorded
from stemma.gguf_converter import FLOAT_TYPES, convert
from stemma.jsonl import write_json
from stemma.processes import cores
from stemma.stages import Result, Work
from stemma.templates import Template

SOURCE = ".source-F16.gguf"
HINT = (
    "hint: --force makes every file anew; "
    "max_kl and min_top1 under export.gates in the recipe set other limits"
)


def run(work: Work) -> Result:
    """Make and prove.

    What an interrupted attempt at the same work had finished is kept, and proven again.
    """
    remove_parts(work.folder)
    merged = make_merged(work)
    trial = read_trial(work, merged)
    gates = merged_gates(work, merged, trial)
    outputs = {"merged": "merged"} | _make_bitsandbytes(work, merged) | _make_gguf(work, merged)
    paths = {name: work.folder / path for name, path in outputs.items()}
    gates += prove(work, paths, trial, cores())
    remove_parts(work.folder)
    (work.folder / SOURCE).unlink(missing_ok=True)
    write_json(work.folder / "gates.json", recorded(gates))
    _stop_if_broken(gates)
    sizes = {name: size_of(path) for name, path in paths.items()}
    facts = {
        "from": work.recipe.export.from_,
        "bytes": sizes,
        "gates": recorded(gates),
        "trained_on": trained_on(work),
    }
    return Result(outputs | {"gates": "gates.json"}, facts=facts)


def _make_bitsandbytes(work: Work, merged: Path) -> dict[str, str]:
    template = Template.read(work.recipe.template, merged)
    names = {f"bnb-{kind}": kind for kind in work.recipe.export.bitsandbytes}
    for name, kind in names.items():
        work.say(f"export: {name}")
        publish(work.folder / name, partial(quantise_folder, merged, kind=kind, template=template))
    return {name: name for name in names}


def _make_gguf(work: Work, merged: Path) -> dict[str, str]:
    """Float types by the converter; the others are quantised from the most exact of them."""
    types = work.recipe.export.gguf.types
    files = {name: work.folder / f"{work.recipe.name}-{name}.gguf" for name in types}
    floats = {name: files[name] for name in FLOAT_TYPES if name in files}
    if not floats:
        floats = {"F16": work.folder / SOURCE}
    for name, path in floats.items():
        work.say(f"export: gguf-{name}")
        publish(path, partial(convert, merged, dtype=name, about=_about(work)))
    source = next(iter(floats.values()))
    for name in [name for name in types if name not in FLOAT_TYPES]:
        work.say(f"export: gguf-{name}")
        publish(files[name], partial(quantise, source, type_name=name, threads=cores()))
    return {f"gguf-{name}": path.name for name, path in files.items()}


def _about(work: Work) -> dict[str, str]:
    """Lineage for the GGUF header: the manifest it comes from names everything before it."""
    recipe = work.recipe
    stage = recipe.export.from_
    is_given = stage == "base" and not recipe.base
    origin = recipe.base_name if is_given else f"manifest {work.run.manifest(stage).key}"
    made_from = f"recipe {recipe.name}, stage {stage}, {origin}"
    return {
        "general.name": recipe.name,
        "general.description": f"Made by Stemma from {made_from}.",
    }


def _stop_if_broken(gates: list[Gate]) -> None:
    if broken := failed(gates):
        first = broken[0]
        blame = f"{first.step} ({first.subject}) broke the model; nothing is handed on."
        demand(broken, blame, HINT)
