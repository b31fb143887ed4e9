"""The keys Stemma adds to Axolotl's own, so that `axolotl train dpo/axolotl.yml` by hand trains alike."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from stemma.recipe.sections import DpoTrainer


class StemmaArgs(BaseModel):
    """Merged by Axolotl into its schema. Absent: Axolotl's own DPO trainer, and its own mean of SFT's losses."""

    stemma_dpo: DpoTrainer | None = None
    stemma_references: str | None = None
    """The folder of precomputed references, by content; absent: in the output folder."""
    stemma_loss_average: Literal["step", "micro_batch"] | None = None
