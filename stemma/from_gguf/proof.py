"""The proof that a folder is the model of its GGUF file: equal tokens, weights and predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stemma.chat_jinja import environment
from stemma.errors import Problem, UserError
from stemma.from_gguf import Dtype
from stemma.from_gguf.architectures import ROPE_FACTORS, architecture_of
from stemma.from_gguf.conversations import TURNS
from stemma.from_gguf.header import GgufFile, Tensor, read_gguf
from stemma.from_gguf.tokenizer_files import CONTROL, USER_DEFINED
from stemma.gate import Budget, Gate, HandOver
from stemma.llama import Llama, Logits
from stemma.metered_jinja import MeteredTemplate, TemplateFault, read_template
from stemma.models import LogitsCompared, load_model
from stemma.templates import special_tokens
from stemma.usage import free_memory

CONTEXT_TOKENS = 512
TEXT_TOKENS = 128
"""Of each text so many are predicted: three times 128 MB of logits with Gemma's vocabulary."""
FLOAT_KINDS = {"F32", "F16", "BF16"}

EXACT = Budget(1e-3, 0.99)
"""Between transformers and llama.cpp on the same float32 weights: only llama.cpp's 16-bit KV cache
differs."""
FLOAT = Budget(0.01, 0.97)
"""Against a float file, whose weights `dtype` may round."""
QUANTISED = Budget(0.05, 0.90)
"""Against the quantised file: llama.cpp rounds the activations too, to 8 bits."""
TIE_NATS = 1e-2
"""Where one model puts two tokens so near to each other, rounding decides which of them another
finds likeliest: a small model's flat predictions are full of such ties."""
IMPLIED = ("vocab_size", "rope.dimension_count", "attention.key_length", "attention.value_length")
VOCABULARY = (
    *("model", "pre", "tokens", "token_type", "merges", "scores", "add_bos_token"),
    *("bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"),
)
FLOAT16_ROUNDING = 2**-11
SPARE = 1.2
"""Of the weights in float32: activations, and the file that llama.cpp maps into memory beside
them."""
IMPORTED = HandOver("the folder", "importing")


def prove(source: GgufFile, folder: Path, back: Path, dtype: Dtype) -> tuple[list[Gate], str]:
    """Every check of the folder against the file, and what could not be checked (empty: nothing was
    left out).

    `back` is the folder converted to a float32 GGUF again.
    """
    texts = conversations(folder)
    found = [same_tokens(folder, source.path, texts), *same_file(source, back, dtype)]
    if not all(check.passed for check in found):  # the predictions differ as well
        return found, ""
    left_out = too_little_memory(source)
    return [*found, *([] if left_out else same_answers(folder, source, back, texts))], left_out


def too_little_memory(source: GgufFile) -> str:
    """The reason why predictions cannot be compared here, or nothing.

    transformers holds all weights in float32 for it.
    """
    free = free_memory()
    needed = source.weights() * 4 * SPARE
    if free >= needed:
        return ""
    memory = f"that takes {needed / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB are free"
    return f"predictions were not compared: {memory}"


def conversations(folder: Path) -> list[str]:
    """Hard conversations, rendered by the folder's template.

    Raises UserError when it cannot render them.
    """
    first, last = special_tokens(folder)
    where = "the chat template"
    try:
        text = read_template(folder / "chat_template.jinja")
        template = MeteredTemplate(environment(dated=True), text, where)
        return [
            template.render(
                messages=[
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ],
                bos_token=first,
                eos_token=last,
                add_generation_prompt=False,
                tools=None,
                documents=None,
            )
            for question, answer in TURNS
        ]
    except TemplateFault as error:
        hint = "give another one with --template, e.g. recipes/templates/chatml.jinja"
        expected = "one that renders a question and its answer"
        raise UserError(Problem(error.where, error.reason, expected, hint)) from None


def same_tokens(folder: Path, source: Path, texts: Sequence[str]) -> Gate:
    """transformers' token ids in the folder against llama.cpp's in the file."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    with Llama(source, CONTEXT_TOKENS, threads=1) as model:
        apart = [
            text
            for text in texts
            if tokenizer(text, add_special_tokens=False)["input_ids"] != model.tokenize(text)
        ]
    what = "conversations tokenized differently"
    if apart:
        what += f", e.g. {apart[0]!r}"
    return IMPORTED.at_most(what, len(apart), 0, len(texts))


def same_file(source: GgufFile, back: Path, dtype: Dtype) -> list[Gate]:
    """The folder converted back to a GGUF: the header's keys and every weight, bit by bit, as
    `dtype` rounds it."""
    found = read_gguf(back)
    keys = _decisive(source)
    apart = [key for key in keys if _value(source, key) != _value(found, key)]
    named = f": {', '.join(apart)}" if apart else ""
    wrong = sum(_differing(source, tensor, found, dtype) for tensor in source.tensors.values())
    rounded = f"weights that come back other than rounded to {dtype}"
    return [
        IMPORTED.at_most(f"header keys that come back changed{named}", len(apart), 0, len(keys)),
        IMPORTED.at_most(rounded, wrong, 0, source.weights()),
    ]


def _decisive(source: GgufFile) -> list[str]:
    """The keys that decide how the model answers.

    Names and file types may change, and the converter leaves some sizes out that follow from
    others.
    """
    implied = {f"{source.architecture}.{key}" for key in IMPLIED}
    own = [
        key
        for key in source.fields
        if key.startswith(f"{source.architecture}.") and key not in implied
    ]
    return own + [
        f"tokenizer.ggml.{key}" for key in VOCABULARY if source.tokenizer(key) is not None
    ]


def _value(gguf: GgufFile, key: str) -> Any:
    """A header key's value; of token types only whether a token is an added one: which of those are
    special older converters told otherwise."""
    value = gguf.fields.get(key)
    if key.endswith(".token_type") and value:
        return ["added" if kind in (CONTROL, USER_DEFINED) else kind for kind in value]
    return value


def _differing(source: GgufFile, tensor: Tensor, found: GgufFile, dtype: Dtype) -> int:
    """The number of weights of a tensor that are not what they must be.

    All of them when it is not there or has another shape.
    """
    other = found.tensors.get(tensor.name)
    if other is None or other.shape != tensor.shape:
        return math.prod(tensor.shape)
    values = tensor.values()
    if tensor.name == ROPE_FACTORS:
        return int((~np.isclose(values, other.values(), rtol=1e-5)).sum())
    shift = architecture_of(source).shifted_norms and tensor.name.endswith("norm.weight")
    stored = torch.from_numpy(values - np.float32(shift)).to(getattr(torch, dtype)).float().numpy()
    if shift and dtype == "float16":  # the converter adds the 1 in float16, which rounds once more
        rounding = FLOAT16_ROUNDING * np.abs(other.values())
        return int((np.abs(stored + 1 - other.values()) > rounding).sum())
    return int((stored + np.float32(shift) != other.values()).sum())


def same_answers(folder: Path, source: GgufFile, back: Path, texts: Sequence[str]) -> list[Gate]:
    """Next-token predictions of transformers in float32, of llama.cpp on the way back, and of the
    file itself."""
    exact = LogitsCompared(TIE_NATS)
    file = LogitsCompared(TIE_NATS)
    for ours, theirs, whole in _predictions(folder, (back, source.path), texts):
        exact.add(ours, theirs)
        file.add(ours, whole)
    loose = bool(source.kinds().keys() - FLOAT_KINDS)
    limits = QUANTISED if loose else FLOAT
    against = f"the file ({', '.join(source.kinds())})"
    return [
        *_drift_gates("llama.cpp on the folder as F32", exact, EXACT),
        *_drift_gates(against, file, limits),
    ]


def _drift_gates(against: str, found: LogitsCompared, budget: Budget) -> list[Gate]:
    agreement = found.agreement()
    n = agreement.positions
    kl_name = f"mean KL from {against}, nats a token"
    other_name = f"likeliest token other than {against}"
    return [
        IMPORTED.at_most(kl_name, agreement.kl, budget.max_kl, n),
        IMPORTED.at_most(other_name, 1 - agreement.top1, 1 - budget.min_top1, n),
    ]


def _predictions(
    folder: Path, files: tuple[Path, Path], texts: Sequence[str]
) -> Iterator[tuple[Logits, ...]]:
    """For each text the logits of transformers and of both files; one text at a time is in
    memory."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = load_model(folder)
    threads = torch.get_num_threads()
    with (
        Llama(files[0], CONTEXT_TOKENS, threads) as back,
        Llama(files[1], CONTEXT_TOKENS, threads) as file,
    ):
        for text in texts:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"][:TEXT_TOKENS]
            with torch.inference_mode():
                ours = model(torch.tensor([ids])).logits[0].float().numpy()
            yield ours, back.logits(ids), file.logits(ids)
