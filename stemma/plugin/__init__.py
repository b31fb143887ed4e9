"""The Axolotl plugin: it runs inside the training processes. One concern a file:

`hooks` (the plugin itself) · `cpu` (DeepSpeed without an accelerator) · `evidence` (what the gates read; the stop at a
non-finite loss) · `steps` (those that were left out) · `ranks` · `on_ray` · `sealing` (checkpoints) · `saving` (copies
only what is trained) · `args` (Stemma's keys in Axolotl's file) · `step_mean` (SFT's loss) · `dpo` (the trainer in
Axolotl's place) over `dpo_on_trl` (the same in TRL's), made of `logps` (pure), `head`, `preference` (pure), `batches`
(pure), `shared` (pure) and `reference`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`stemma.plugin.StemmaPlugin`, as Axolotl asks for it. Only then is Axolotl needed: the parts of the trainer work
    without it."""
    if name != "StemmaPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stemma.plugin.hooks import StemmaPlugin

    return StemmaPlugin
