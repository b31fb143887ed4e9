"""Saving an adapter without copying the frozen model it sits on."""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from torch import Tensor


def copy_trained_weights_only(accelerator: Any) -> None:
    """Make the accelerator hand on frozen weights as they lie, and copy the trained ones alone.

    Under DeepSpeed (but for ZeRO-3) accelerate 1.15 clones the whole model at every save, a tied
    head a second time; PEFT then writes the adapter alone.
    """
    whole = accelerator.get_state_dict

    def get_state_dict(model: Any, unwrap: bool = True) -> dict[str, Tensor]:
        inner = accelerator.unwrap_model(model)
        if not isinstance(inner, PeftModel) or _is_spread(accelerator.deepspeed_config):
            found: dict[str, Tensor] = whole(model, unwrap)
            return found
        # A tied head is in the state under both names; asked once, a parameter has one.
        parameters = inner.named_parameters(remove_duplicate=False)
        trained = {name for name, weight in parameters if weight.requires_grad}
        state = inner.state_dict()
        return {name: value.clone() if name in trained else value for name, value in state.items()}

    accelerator.get_state_dict = get_state_dict


def _is_spread(config: dict[str, Any]) -> bool:
    """Whether ranks hold parts of the weights, which must be gathered."""
    tensor_parallel = config.get("tensor_parallel", {}).get("autotp_size", 0)
    return config["zero_optimization"]["stage"] == 3 or tensor_parallel > 1
