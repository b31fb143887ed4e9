"""The recipe's `sweep` section: which values of one training stage to try, and what makes one of them the best."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Sweep(BaseModel):
    """`values` are Axolotl's keys of the stage, each with the values to try: all combinations train. Under `_`, as in
    Axolotl's own sweeps, stands a list of settings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    stage: Literal["sft", "dpo", "mcq"]
    values: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1)
    metric: Annotated[str, Field(pattern="^eval_")] = "eval_loss"
    """Of the trainer's log, on held-out rows, e.g. `eval_rewards/accuracies`; its last value counts."""
    goal: Literal["min", "max"] = "min"

    def settings(self) -> list[tuple[str, Any]]:
        """Every single (key, value) that is tried."""
        paired = [pair for together in self.values.get("_", []) for pair in dict(together).items()]
        return [*((key, value) for key, values in self.values.items() if key != "_" for value in values), *paired]
