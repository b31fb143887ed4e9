"""The key Stemma adds to Axolotl's own, so that `axolotl train dpo/axolotl.yml` by hand trains alike."""

from __future__ import annotations

from pydantic import BaseModel

from stemma.dpo_section import DpoTrainer


class StemmaArgs(BaseModel):
    """Merged by Axolotl into its schema. Absent: Axolotl's own DPO trainer."""

    stemma_dpo: DpoTrainer | None = None
