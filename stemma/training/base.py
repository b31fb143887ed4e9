"""The stage `base`: a small Gemma made on the spot. Trains a SentencePiece tokenizer with Gemma's special ids on the
corpus, then pretrains the model on it through Axolotl."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.jsonl import read_rows, write_json
from stemma.recipe.sections import BaseModelSection
from stemma.rows import CorpusRow
from stemma.stages import Result, Work
from stemma.templates import Template
from stemma.training import gates, launch
from stemma.training.merge import TOKEN_FIELDS, write_model
from stemma.training.rows import sample
from stemma.training.run import deepspeed_proof, logs, prepared_part, tokenizer_of, trim, write_config, write_history

PAD, EOS, BOS, UNK, END_OF_TURN = 0, 1, 2, 3, 107
NEWLINES = ("\n", "\n\n", "\n\n\n")
RESERVED = ("<mask>", "[@BOS@]", *(f"<unused{i}>" for i in range(100)), "<start_of_turn>", "<end_of_turn>", *NEWLINES)
"""Gemma's pieces 4 to 110, so that the turn tokens get Gemma's ids 106 and 107 (the GGUF converter relies on them)."""


def run(work: Work) -> Result:
    """Make the model, pretrain it, and hand over `merged` and the history."""
    section = work.recipe.base
    assert section is not None
    template = Template.read(work.recipe.template)
    rows = read_rows(work.input("data", "corpus/train"), CorpusRow)
    if not rows:
        raise UserError(Problem("data.corpus", "no rows to pretrain on", "at least one row"))
    init = work.folder / "init"
    if not init.is_dir():
        make_model(section, [row.text for row in rows], work.recipe.seed, init, template)
    samples = [sample(row, template) for row in rows]
    part = prepared_part(samples, tokenizer_of(init), work, template, template.eos)
    config = write_config(work, init, {"train": part}, template)
    marker = launch.train(config, work.folder / "axolotl.yml", launch.cluster_for(config), work.say)
    trained = Path(config["output_dir"])
    facts = {"parameters": marker.parameters, "steps": marker.steps, "deepspeed": deepspeed_proof(config)}
    if not (work.folder / "merged").is_dir():  # a killed attempt may have handed over and trimmed already
        _hand_over(trained, init, work.folder / "merged", template)
    facts |= gates.facts_of([gates.finite_gate(work.folder / "merged")])
    write_history(work, marker)
    trim(config)
    outputs = {"merged": "merged", "history": "history.jsonl", "axolotl": "axolotl.yml"}
    return Result(outputs | logs(config), {"train": part.counts}, facts)


def make_model(section: BaseModelSection, texts: list[str], seed: int, target: Path, template: Template) -> None:
    """A Gemma with random weights and a tokenizer trained on `texts`."""
    from transformers import GemmaConfig, GemmaForCausalLM, set_seed

    part = target.with_name(f".{target.name}.tokenizer")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    size = train_tokenizer(texts, section.tokenizer.vocab_size, part)
    ids = {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS}
    set_seed(seed)
    model = GemmaForCausalLM(GemmaConfig(**section.model, **ids, vocab_size=size))
    model.generation_config.eos_token_id = [EOS, END_OF_TURN]
    model.generation_config.save_pretrained(part)
    write_model(model, part, target, template)
    shutil.rmtree(part)


def train_tokenizer(texts: Iterable[str], size: int, folder: Path) -> int:
    """Write tokenizer.model, tokenizer.json and tokenizer_config.json; returns the number of pieces, at most `size`."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(folder / "tokenizer"), vocab_size=size, model_type="bpe",
        pad_id=PAD, eos_id=EOS, bos_id=BOS, unk_id=UNK,
        pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", unk_piece="<unk>", user_defined_symbols=list(RESERVED),
        byte_fallback=True, split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", character_coverage=0.9999, hard_vocab_limit=False, minloglevel=2,
        num_threads=1, max_sentence_length=1 << 16,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()
    return _write_fast_tokenizer(folder)


def _write_fast_tokenizer(folder: Path) -> int:
    """tokenizer.json from tokenizer.model, with Gemma's `<bos>` in front, and newlines that decoding does not skip."""
    from transformers import GemmaTokenizer

    tokenizer = GemmaTokenizer.from_pretrained(folder)
    value = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in value["added_tokens"]:
        token["special"] = token["content"] not in NEWLINES
    value["post_processor"] = _bos_first()
    write_json(folder / "tokenizer.json", value)
    added = {str(t["id"]): {field: t[field] for field in TOKEN_FIELDS} for t in value["added_tokens"]}
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    flags = {"add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False}
    config = {"tokenizer_class": "GemmaTokenizer", **names, **flags, "added_tokens_decoder": added}
    write_json(folder / "tokenizer_config.json", config)
    return len(tokenizer)


def _bos_first() -> dict[str, Any]:
    first = [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    second = [{"SpecialToken": {"id": "<bos>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    tokens = {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}}
    return {"type": "TemplateProcessing", "single": first, "pair": [*first, *second], "special_tokens": tokens}


def _hand_over(trained: Path, init: Path, target: Path, template: Template) -> None:
    from transformers import AutoModelForCausalLM

    write_model(AutoModelForCausalLM.from_pretrained(trained, dtype="auto"), init, target, template)
