"""Verbs for models that come from a GGUF file: `import` and `real`. `stemma.cli` adds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stemma.cli_options import RUNS, Runs, Set, say
from stemma.from_gguf import Dtype, Import
from stemma.visible import tell

Source = Annotated[Path, typer.Argument(metavar="FILE.gguf", help="The GGUF file.")]
Target = Annotated[Path, typer.Argument(metavar="FOLDER", help="The model folder to make.")]
Store = Annotated[Dtype, typer.Option("--dtype", help="How the weights are stored.")]
Template = Annotated[Path | None, typer.Option(help="A chat template in place of the file's.")]
Licence = Annotated[str | None, typer.Option(help="SPDX, where the header names none.")]


def import_(
    source: Source,
    target: Target,
    dtype: Store = "bfloat16",
    template: Template = None,
    licence: Licence = None,
) -> None:
    """Make a base model of a GGUF file: a Hugging Face folder, proven to be the same model."""
    tell(f"{target}: {_bring_in(Import(source, target, dtype, template, licence))}")


def real(
    data: Annotated[
        Path | None, typer.Option(help="A folder of real data sets; else the project's own few.")
    ] = None,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Run SmolLM2 135M Instruct through the whole chain on a CPU: from a GGUF to tested answers."""
    from stemma.cli import demo
    from stemma.from_gguf import smollm2
    from stemma.progress import of_stage

    with of_stage("import"):
        source = smollm2.fetch(smollm2.cache(os.environ))
    order = Import(source, smollm2.FOLDER, smollm2.DTYPE)
    tell(f"import  {_bring_in(order)}")
    if data is None:
        demo("smollm2", set_, runs)
    else:
        demo("smollm2-course", [f"data.root={data}", *(set_ or [])], runs)


def _bring_in(order: Import) -> str:
    from stemma.from_gguf.import_model import import_model
    from stemma.gguf_converter import convert
    from stemma.progress import of_stage, tick
    from stemma.quiet import quieten

    quieten()
    with of_stage("import"):
        return import_model(
            order,
            lambda folder, out: convert(folder, out, "F32", {}, tick),
            lambda text: say(f"[import] {text}"),
        )
