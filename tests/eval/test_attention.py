"""Attention that shares keys gives what transformers' own gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from eval.backends.attention import GROUPED, share_keys
from tests.factories.families import FAMILIES, make_family


def asked(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        prompt = model(input_ids=ids[:, :-1], attention_mask=mask[:, :-1], use_cache=True)
        cache = prompt.past_key_values
        said = model(input_ids=ids[:, -1:], attention_mask=mask, past_key_values=cache)
    return torch.cat([prompt.logits, said.logits], dim=1)[mask.bool()]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_reads_and_writes_as_before(tmp_path: Path, family: str) -> None:
    folder = make_family(tmp_path / family, family)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.randint(10, 400, (3, 40), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    before = asked(model, ids, mask)
    kind = model.config._attn_implementation
    share_keys(model)
    assert model.config._attn_implementation == (GROUPED if kind == "sdpa" else kind)
    assert torch.allclose(asked(model, ids, mask), before, atol=1e-5)


def test_the_keys_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.integrations import sdpa_attention

    model: Any = AutoModelForCausalLM.from_pretrained(make_family(tmp_path / "llama", "llama"))
    assert model.config.num_attention_heads > model.config.num_key_value_heads

    def copied(*_: Any) -> Any:
        raise AssertionError("keys were copied")

    monkeypatch.setattr(sdpa_attention, "repeat_kv", copied)
    ids = torch.randint(10, 400, (2, 12))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    with pytest.raises(AssertionError, match="copied"):
        asked(model, ids, mask)
    share_keys(model)
    asked(model, ids, mask)
