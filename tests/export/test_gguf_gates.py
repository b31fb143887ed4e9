"""export.gguf_gates: a right file passes, and each kind of damage is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.conversations import TriedConversations, sample
from export.gguf_gates import gguf_gates
from stemma.errors import StageFailed
from stemma.gate import Budget, Gate
from stemma.llama import Llama, Logits
from stemma.templates import Template, answered
from tests.factories.models import TEMPLATE, tiny_gguf, tiny_model

BUDGET = Budget(0.002, 0.98)


@pytest.fixture(scope="module")
def trial() -> TriedConversations:
    from transformers import AutoTokenizer

    tokenizer, template = AutoTokenizer.from_pretrained(tiny_model()), Template.read(TEMPLATE)
    texts = [
        template.split(answered(q, "15"))
        for q in ("What is 12 + 3?", r"α $\frac{1}{2}$" + "\n\n\nx")
    ]
    pairs = [
        tokenizer([prompt, answer], add_special_tokens=False)["input_ids"]
        for prompt, answer in texts
    ]
    return TriedConversations(
        texts,
        [prompt + answer for prompt, answer in pairs],
        [sample(*pair) for pair in pairs],
        2,
        template,
    )


@pytest.fixture(scope="module")
def reference(trial: TriedConversations) -> list[Logits]:
    import torch
    from transformers import AutoModelForCausalLM

    from export.hf_folder import answer_logits

    return list(
        answer_logits(
            AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32), trial.samples
        )
    )


def check(trial: TriedConversations, reference: Sequence[Logits]) -> list[Gate]:
    return gguf_gates(tiny_gguf(), trial, reference, BUDGET, threads=1)


def failed(gates: Sequence[Gate]) -> list[str]:
    return [gate.name for gate in gates if not gate.passed]


def test_a_faithful_file_passes(trial: TriedConversations, reference: list[Logits]) -> None:
    gates = check(trial, reference)
    assert failed(gates) == []
    assert len(gates) == 6
    assert {gate.subject for gate in gates} == {"gguf-F16"}


def test_other_weights_fail(trial: TriedConversations, reference: list[Logits]) -> None:
    other = [-logits for logits in reference]
    assert failed(check(trial, other)) == ["mean KL, nats per token", "top-1 agreement"]


def test_other_token_ids_fail(trial: TriedConversations, reference: list[Logits]) -> None:
    split = replace(trial, ids=[[*trial.ids[0], 5], trial.ids[1]])
    assert failed(check(split, reference)) == ["conversations tokenized differently"]


def test_two_bos_fail(trial: TriedConversations, reference: list[Logits]) -> None:
    doubled = replace(
        trial,
        texts=[(f"<bos>{p}", a) for p, a in trial.texts],
        ids=[[2, *ids] for ids in trial.ids],
    )
    assert failed(check(doubled, reference)) == [
        "conversations without exactly one BOS at their start"
    ]


def test_another_template_or_stop_token_fails(
    trial: TriedConversations, reference: list[Logits]
) -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert failed(check(replace(trial, template=Template(text + "\n")), reference)) == [
        "chat templates that differ from the recipe's"
    ]
    endless = Template(text, eos="<unused7>")
    assert failed(check(replace(trial, template=endless), reference)) == [
        "stop tokens that do not end an answer"
    ]


def test_damaged_weights_are_not_scored(trial: TriedConversations, tmp_path: Path) -> None:
    with Llama(tiny_gguf(), 64, 1) as model:
        assert np.isfinite(model.logits([2, 5])).all()
    broken = tmp_path / "tiny-F16.gguf"
    data = bytearray(tiny_gguf().read_bytes())
    data[-400_000:] = b"\xff" * 400_000  # NaN in every 16- and 32-bit float
    broken.write_bytes(data)
    with pytest.raises(StageFailed, match=r"tiny-F16\.gguf: logits that are not finite"):
        gguf_gates(broken, trial, [], BUDGET, threads=1)
