"""The DPO trainer in Axolotl's place: what `dpo_on_trl` does, on top of Axolotl's own."""

from __future__ import annotations

from axolotl.core.trainers.dpo.trainer import AxolotlDPOTrainer

from stemma.plugin.dpo_on_trl import DpoOnTrl


class StemmaDpoTrainer(DpoOnTrl, AxolotlDPOTrainer):
    """A trainer that takes what `AxolotlDPOTrainer` and `DpoOnTrl` take."""
