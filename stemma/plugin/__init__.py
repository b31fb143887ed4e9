"""The Axolotl plugin: it runs inside the training processes. One concern a file.

Hooks: `hooks` (the plugin itself), `args` (Stemma's keys in Axolotl's file). Machines: `ranks`,
`cpu` (DeepSpeed without an accelerator), `on_ray`. Safety: `evidence` (what the gates read; the
stop at a loss that is not finite), `steps` (those that were left out), `sealing` (checkpoints),
`saving` (copies only what is trained). Training: `step_mean` (SFT's loss), `dpo` (the trainer in
Axolotl's place) over `dpo_on_trl` (the same in TRL's), which is made of `logps`, `head`,
`preference`, `batches`, `shared` and `reference`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Give `stemma.plugin.StemmaPlugin`, as Axolotl asks for it.

    Only then is Axolotl imported: the parts of the trainer work without it.
    """
    if name != "StemmaPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stemma.plugin.hooks import StemmaPlugin

    return StemmaPlugin
