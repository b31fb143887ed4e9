"""The gates of a GGUF file: tokenizer, stop token, chat template, and drift from merged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from export.conversations import TriedConversations
from export.parity import drift_gates, token_gates
from stemma.gate import Budget, Gate, HandOver
from stemma.llama import Llama, Logits
from stemma.models import compare
from stemma.templates import Template, question


def gguf_gates(
    path: Path, trial: TriedConversations, reference: Iterable[Logits], budget: Budget, threads: int
) -> list[Gate]:
    """Every gate of one file, called by its variant's name (`tiny-Q8_0.gguf`: `gguf-Q8_0`).

    `reference` gives merged's logits sample by sample. Peak memory: the mapped file, and two
    samples' logits.
    """
    variant = f"gguf-{path.stem.rsplit('-', 1)[1]}"
    with Llama(path, max(len(ids) for ids, _ in trial.samples), threads) as model:
        hand_over = HandOver(variant, "converting the tokenizer to GGUF")
        text_gates = _text_gates(model, hand_over, trial)
        found = (model.logits(ids, start) for ids, start in trial.samples)
        drift = compare(zip(reference, found, strict=True))
    weights = HandOver(variant, "writing the weights as GGUF")
    return [*text_gates, *drift_gates(weights, drift, budget)]


def _text_gates(model: Llama, hand_over: HandOver, trial: TriedConversations) -> list[Gate]:
    found = [model.tokenize(prompt) + model.tokenize(answer) for prompt, answer in trial.texts]
    stop = model.tokenize(trial.template.stop())
    never_stops = len(stop) != 1 or not model.is_end(stop[0])

    carried = model.metadata("tokenizer.chat_template") or ""
    probe = question("1 + 1?")
    asked = Template(carried, model.token("bos"), model.token("eos")).render(probe, ask=True)
    expected = trial.template.render(probe, ask=True)
    template_differs = carried != trial.template.carried or asked != expected
    return [
        *token_gates(hand_over, trial.ids, found, trial.bos),
        hand_over.at_most("stop tokens that do not end an answer", never_stops, 0, 1),
        hand_over.at_most("chat templates that differ from the recipe's", template_differs, 0, 1),
    ]
