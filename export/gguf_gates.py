"""The gates of a GGUF file: its tokenizer, its stop token, its template, and its drift from merged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from export import Budget
from export.conversations import Trial
from export.parity import Gate, HandOver, Logits, drift_between
from stemma.llama import Llama
from stemma.templates import Template, question


def gguf_gates(path: Path, trial: Trial, reference: Iterable[Logits], budget: Budget, threads: int) -> list[Gate]:
    """Every gate of one file, called by its variant's name (`tiny-Q8_0.gguf`: `gguf-Q8_0`). `reference` gives merged's
    logits sample by sample. Peak memory: the mapped file, and two samples' logits."""
    variant = f"gguf-{path.stem.rsplit('-', 1)[1]}"
    with Llama(path, max(len(ids) for ids, _ in trial.samples), threads) as model:
        text_gates = _text_gates(model, HandOver(variant, "converting the tokenizer to GGUF"), trial)
        found = (model.logits(ids, start) for ids, start in trial.samples)
        drift = drift_between(zip(reference, found, strict=True))
    return [*text_gates, *HandOver(variant, "writing the weights as GGUF").drift(drift, budget)]


def _text_gates(model: Llama, hand_over: HandOver, trial: Trial) -> list[Gate]:
    found = [model.tokenize(prompt) + model.tokenize(answer) for prompt, answer in trial.texts]
    stop = model.tokenize(trial.template.stop())
    goes_on = len(stop) != 1 or not model.is_end(stop[0])
    carried, probe = model.metadata("tokenizer.chat_template") or "", question("1 + 1?")
    asked = Template(carried, model.token("bos"), model.token("eos")).render(probe, ask=True)
    template_differs = carried != trial.template.carried or asked != trial.template.render(probe, ask=True)
    return [
        *hand_over.tokens(trial.ids, found, trial.bos),
        hand_over.at_most("stop tokens that do not end an answer", goes_on, 0, 1),
        hand_over.at_most("chat templates that differ from the recipe's", template_differs, 0, 1),
    ]
