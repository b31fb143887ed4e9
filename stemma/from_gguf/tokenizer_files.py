"""The tokenizer of a GGUF as files of a Hugging Face folder, for transformers and the converter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemma.errors import Problem
from stemma.from_gguf.header import GgufFile
from stemma.jsonl import write_json

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Token types, numbered alike in GGUF and SentencePiece."""
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {"qwen2": WORDS + r"\p{N}" + REST, "llama-bpe": WORDS + r"\p{N}{1,3}" + REST}
"""How the published tokenizer.json cuts text before merging, by the name llama.cpp gives that."""
SPECIAL = ("bos", "eos", "unknown", "padding", "eot")
KINDS: dict[str, tuple[type, ...]] = {
    "tokens": (str,),
    "token_type": (int,),
    "scores": (int, float),
    "merges": (str,),
}
"""Types of what the lists below `tokenizer.ggml.` hold."""
FLAGS = ("add_bos_token", "add_eos_token", "add_space_prefix")
BYTE_PAIRS = ("smollm", "gpt-2", *PATTERNS)


def tokenizer_problems(gguf: GgufFile) -> list[Problem]:
    """Problems that keep its tokenizer from being written as files; empty when there are none."""
    model = gguf.tokenizer("model")
    pre = gguf.tokenizer("pre")
    where = str(gguf.path)
    if not model or not gguf.tokenizer("tokens"):
        hint = "take a GGUF that was converted from the whole model folder"
        return [
            Problem(where, "no tokenizer in its header", "tokenizer.ggml.model and .tokens", hint)
        ]
    blank = gguf.tokenizer("add_space_prefix") is not False
    if (model == "gpt2" and pre in BYTE_PAIRS) or (model == "llama" and not blank):
        needed = ("token_type", "merges") if model == "gpt2" else ("token_type", "scores")
        missing = [key for key in needed if not gguf.tokenizer(key)]
        if missing:
            return [
                Problem(where, f"no `tokenizer.ggml.{key}` in its header", "a whole header")
                for key in missing
            ]
        hint = "take a GGUF that was converted from the whole model folder"
        problems = list(_wrong_kinds(gguf)) or _contradictions(gguf)
        return [Problem(where, found, "a whole tokenizer", hint) for found in problems]
    found = f"tokenizer `{model}`" + (f", cut as `{pre}`" if pre else "")
    if model == "llama" and blank:
        found = "a SentencePiece tokenizer that puts a blank in front of every text, as Llama 2's"
    expected = f"`gpt2` cut as one of {', '.join(BYTE_PAIRS)}, or Gemma's SentencePiece"
    return [Problem(where, found, expected)]


def _wrong_kinds(gguf: GgufFile) -> Iterator[str]:
    """Keys that hold something else than their name says."""
    for key, kinds in KINDS.items():
        values = gguf.tokenizer(key)
        if values is not None and not (
            isinstance(values, list) and all(type(value) in kinds for value in values)
        ):
            yield f"`tokenizer.ggml.{key}` is no list of {'texts' if str in kinds else 'numbers'}"
    for key, kind in {
        **{f"{name}_token_id": int for name in SPECIAL},
        **dict.fromkeys(FLAGS, bool),
    }.items():
        value = gguf.tokenizer(key)
        if value is not None and type(value) is not kind:
            yield f"`tokenizer.ggml.{key}` = {value!r:.40}"


def _contradictions(gguf: GgufFile) -> Iterator[str]:
    """Parts of the tokenizer that do not fit together."""
    tokens = gguf.tokenizer("tokens")
    byte_pairs = gguf.tokenizer("model") == "gpt2"
    known = set(tokens)
    if len(known) < len(tokens):
        yield f"{len(tokens) - len(known):,} tokens that are there twice"
    for key in ("token_type",) if byte_pairs else ("token_type", "scores"):
        if (found := len(gguf.tokenizer(key))) != len(tokens):
            yield f"`tokenizer.ggml.{key}` of {found:,} tokens, and there are {len(tokens):,}"
    for name in SPECIAL:
        number = gguf.tokenizer(f"{name}_token_id")
        if number is not None and not 0 <= number < len(tokens):
            there_are = f"there are {len(tokens):,} tokens"
            yield f"`tokenizer.ggml.{name}_token_id` = {number}, and {there_are}"
    if gguf.tokenizer("eos_token_id") is None:
        yield "no `tokenizer.ggml.eos_token_id`"
    merges = [merge.split(" ") for merge in gguf.tokenizer("merges")] if byte_pairs else []
    if wrong := [
        " ".join(m) for m in merges if len(m) != 2 or not known.issuperset((*m, "".join(m)))
    ]:
        yield f"{len(wrong):,} merges of what is no token, e.g. {wrong[0]!r}"


def write_tokenizer(gguf: GgufFile, template: str, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, the template, and for SentencePiece
    tokenizer.model."""
    if gguf.tokenizer("model") == "gpt2":
        value = _byte_pairs(gguf)
        kind = "PreTrainedTokenizerFast"
    else:
        value = _sentencepiece(gguf, folder)
        kind = "GemmaTokenizer"
    text = json.dumps(value, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    config = _config(gguf, value, kind) | {"chat_template": template}
    write_json(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _config(gguf: GgufFile, tokenizer: dict[str, Any], kind: str) -> dict[str, Any]:
    names = (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
    fields = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    added = {str(t["id"]): {name: t[name] for name in fields} for t in tokenizer["added_tokens"]}
    return {
        "tokenizer_class": kind,
        "add_bos_token": adds_first(gguf),
        "add_eos_token": False,
        **{f"{ours}_token": gguf.token(theirs) for ours, theirs in names},
        "clean_up_tokenization_spaces": False,
        "model_max_length": gguf.of_architecture()["context_length"],
        "added_tokens_decoder": added,
    }


def adds_first(gguf: GgufFile) -> bool:
    """Whether the tokenizer puts the first token in front by itself, as llama.cpp decides it."""
    said = gguf.tokenizer("add_bos_token")
    by_kind = gguf.tokenizer("model") == "llama" or gguf.tokenizer("pre") == "llama-bpe"
    return by_kind if said is None else bool(said)


def _added(gguf: GgufFile) -> list[Any]:
    from tokenizers import AddedToken

    types = gguf.tokenizer("token_type")
    pairs = zip(gguf.tokenizer("tokens"), types, strict=True)
    return [
        AddedToken(token, normalized=False, special=kind == CONTROL)
        for token, kind in pairs
        if kind in (CONTROL, USER_DEFINED)
    ]


def _byte_pairs(gguf: GgufFile) -> dict[str, Any]:
    """tokenizer.json of byte-level pairs."""
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    tokens = gguf.tokenizer("tokens")
    types = gguf.tokenizer("token_type")
    pre = gguf.tokenizer("pre")
    vocabulary = {token: number for number, token in enumerate(tokens) if types[number] != UNUSED}
    merges = [tuple(merge.split(" ")) for merge in gguf.tokenizer("merges")]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges, ignore_merges=pre == "llama-bpe"))
    tokenizer.pre_tokenizer = _cutting(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(_added(gguf))
    # As published; llama.cpp leaves text as it is, which differs for decomposed letters.
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if adds_first(gguf):
        tokenizer.post_processor = _first(gguf)
    value: dict[str, Any] = json.loads(tokenizer.to_str())
    return value


def _cutting(pre: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if pre in ("smollm", "gpt-2"):  # SmolLM's digits one by one, the rest as GPT-2 does
        digits = [pre_tokenizers.Digits(individual_digits=True)] if pre == "smollm" else []
        steps = [*digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        words = pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated")
        steps = [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    return pre_tokenizers.Sequence(steps)


def _first(gguf: GgufFile) -> Any:
    """Puts the first token in front."""
    from tokenizers import processors

    first, number = gguf.token("bos"), gguf.tokenizer("bos_token_id")
    begin = processors.TemplateProcessing(
        f"{first} $A", f"{first} $A {first} $B", special_tokens=[(first, number)]
    )
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), begin])


def _sentencepiece(gguf: GgufFile, folder: Path) -> dict[str, Any]:
    """Writes tokenizer.model, from which transformers makes its tokenizer.json; returns that."""
    from transformers import GemmaTokenizer

    (folder / "tokenizer.model").write_bytes(sentencepiece_model(gguf))
    GemmaTokenizer.from_pretrained(folder).save_pretrained(folder)
    value: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    types = gguf.tokenizer("token_type")
    for token in value["added_tokens"]:
        token["special"] = types[token["id"]] in (CONTROL, UNKNOWN)
    return value


def sentencepiece_model(gguf: GgufFile) -> bytes:
    """The SentencePiece file with the header's pieces, scores and types."""
    from sentencepiece import sentencepiece_model_pb2 as wire

    model = wire.ModelProto()
    pieces = zip(*(gguf.tokenizer(key) for key in ("tokens", "scores", "token_type")), strict=True)
    # The converter marks the unknown token like any other special one.
    unknown = gguf.tokenizer("unknown_token_id")
    for number, (piece, score, kind) in enumerate(pieces):
        model.pieces.add(piece=piece, score=score, type=UNKNOWN if number == unknown else kind)
    model.trainer_spec.model_type = wire.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = BYTE in gguf.tokenizer("token_type")
    model.trainer_spec.vocab_size = len(model.pieces)
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = gguf.tokenizer(f"{theirs}_token_id")
        setattr(model.trainer_spec, f"{ours}_id", -1 if number is None else number)
        if number is not None:
            setattr(model.trainer_spec, f"{ours}_piece", gguf.token(theirs))
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = bool(gguf.tokenizer("add_space_prefix"))
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = True
    found: bytes = model.SerializeToString()
    return found
