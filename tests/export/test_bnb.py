"""export.bnb: int8 and nf4 folders, whole and as saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.bnb import DIGEST, quantise_folder
from export.hf_folder import weights_digest
from stemma.errors import UserError
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma, tiny_model


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_the_saved_folder_holds_the_digested_weights(tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / kind
    quantise_folder(tiny_model(), out, kind, Template.read(TEMPLATE))
    loaded = AutoModelForCausalLM.from_pretrained(out, device_map={"": "cpu"}, dtype="auto")
    assert weights_digest(loaded) == (out / DIGEST).read_text().strip()
    names = {path.name for path in out.iterdir()}
    assert {
        "tokenizer.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    } <= names
    assert AutoTokenizer.from_pretrained(out).chat_template == TEMPLATE.read_text(encoding="utf-8")


def test_nf4_names_layers_its_kernels_cannot_hold(tmp_path: Path) -> None:
    narrow = make_gemma(tmp_path / "narrow", hidden=32, layers=1)
    with pytest.raises(UserError) as error:
        quantise_folder(narrow, tmp_path / "out", "nf4", Template.read(TEMPLATE))
    assert (
        "export.bitsandbytes: nf4 cannot hold 2 layers of this model, "
        "e.g. model.layers.0.self_attn.k_proj (8)" in str(error.value)
    )
    assert "multiples of 32" in str(error.value)
    assert not (tmp_path / "out").exists()
