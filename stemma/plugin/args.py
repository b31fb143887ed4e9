"""The keys that Stemma adds to Axolotl's own.

With them `axolotl train dpo/axolotl.yml` by hand trains as Stemma does.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from stemma.recipe.sections import DpoTrainer


class StemmaArgs(BaseModel):
    """Stemma's keys, which Axolotl merges into its own schema.

    Where they are absent, Axolotl's own DPO trainer and its own mean of SFT's losses are used.
    """

    stemma_dpo: DpoTrainer | None = None
    stemma_references: str | None = None
    """The folder of precomputed references, by content; absent: in the output folder."""
    stemma_loss_average: Literal["step", "micro_batch"] | None = None
