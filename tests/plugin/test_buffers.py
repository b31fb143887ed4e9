"""DeepSpeed's cast, and what it must not round."""

from __future__ import annotations

import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from stemma.plugin.buffers import keep_float32_buffers


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.rotary = LlamaRotaryEmbedding(LlamaConfig(hidden_size=64, num_attention_heads=4))
        self.small = nn.Buffer(torch.ones(1, dtype=torch.float16))


def configured(kept: bool) -> Model:
    """A model behind an engine that casts as DeepSpeed's does (its `_configure_distributed_model`)."""

    class Engine:
        def _configure_distributed_model(self, model: nn.Module) -> None:
            model.bfloat16()

    if kept:
        keep_float32_buffers(Engine)
    model = Model()
    Engine()._configure_distributed_model(model)
    return model


def test_weights_are_cast_and_frequencies_are_not() -> None:
    model = configured(kept=True)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.small.dtype == torch.bfloat16, "only what was float32 is kept"
    # 16 dimensions a head: 10000 ** -(2i / 16) for i = 0..7.
    expected = torch.tensor([1, 0.31622777, 0.1, 0.031622777, 0.01, 0.0031622777, 0.001, 0.00031622777])
    torch.testing.assert_close(model.rotary.inv_freq, expected)
    assert "rotary.inv_freq" in dict(model.named_buffers()), "a buffer still, which moves with the model"


def test_left_alone_they_are_rounded() -> None:
    rounded = configured(kept=False).rotary.inv_freq
    assert rounded.dtype == torch.bfloat16
    assert abs(rounded[2].item() - 0.1) > 9e-5, "0.1 is 0.10009765625 in bfloat16: 0.03 radians at the 300th token"
