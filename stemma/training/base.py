"""The stage `base`: a small Gemma made on the spot.

Trains a SentencePiece tokenizer with Gemma's special ids on the corpus, then pretrains a model with
random weights on it through Axolotl.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.files import new_folder, remove
from stemma.jsonl import read_json, read_rows, write_json
from stemma.recipe.sections import BaseModelSection
from stemma.rows import CorpusRow
from stemma.stages import Result, Work
from stemma.templates import Template
from stemma.training import gates, launch
from stemma.training.completion import COMPLETED
from stemma.training.handover import logs, training_record, trim, write_history
from stemma.training.inputs import check_split, tokenizer_of, write_config
from stemma.training.losses import tell_of_loss
from stemma.training.merge import TOKEN_FIELDS, write_model
from stemma.training.pitfalls import training_warnings
from stemma.training.rows import sample

PAD = 0
EOS = 1
BOS = 2
UNK = 3
END_OF_TURN = 107
NEWLINES = ("\n", "\n\n", "\n\n\n")
RESERVED = (
    "<mask>",
    "[@BOS@]",
    *(f"<unused{number}>" for number in range(100)),
    "<start_of_turn>",
    "<end_of_turn>",
    *NEWLINES,
)
"""Gemma's pieces 4 to 110.

So the turn tokens get Gemma's ids 106 and 107, on which the GGUF converter relies.
"""


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
    split = check_split(samples, tokenizer_of(init), work, template, template.eos)
    warn(work, init, split.counts)
    config = write_config(work, init, {"train": split}, template)
    merged = work.folder / "merged"
    output = Path(config["output_dir"])
    if not merged.is_dir() and not any(output.glob("model*.safetensors")):
        # Handed over and trimmed, then lost or damaged: it is trained anew.
        (output / COMPLETED).unlink(missing_ok=True)
    cluster = launch.cluster_for(config)
    marker = launch.train(config, work.folder / "axolotl.yml", cluster, work.say)
    start = f"random weights, seed {work.recipe.seed}"
    facts: dict[str, Any] = training_record(start, marker, config, cluster.world_size).model_dump()
    if not merged.is_dir():  # a killed attempt may have handed over and trimmed already
        _hand_over(output, init, merged, template)
    facts |= gates.facts_of([gates.finite_gate(merged)])
    write_history(work, marker)
    tell_of_loss(work, marker)
    trim(config)
    outputs = {"merged": "merged", "history": "history.jsonl", "axolotl": "axolotl.yml"}
    return Result(outputs | logs(config), {"train": split.counts}, facts)


def warn(work: Work, init: Path, counts: dict[str, int]) -> None:
    """Tell what is foreseeable of this pretraining, before it starts."""
    section = work.recipe.base
    assert section is not None
    asked, there = section.tokenizer.vocab_size, read_json(init / "config.json")["vocab_size"]
    if there < asked:
        few = f"the corpus gives {there:,} pieces of the {asked:,} asked for"
        work.say(f"warning: base: {few}; hint: more text, or a smaller `base.tokenizer.vocab_size`")
    for warning in training_warnings("base", work.recipe.training_settings("base"), counts):
        work.say(f"warning: {warning}")


def make_model(
    section: BaseModelSection, texts: list[str], seed: int, target: Path, template: Template
) -> None:
    """Write a Gemma with random weights and a tokenizer trained on `texts` to `target`."""
    from transformers import GemmaConfig, GemmaForCausalLM, set_seed

    tokenizer = target.with_name(f".{target.name}.tokenizer")
    with new_folder(tokenizer) as part:
        size = train_tokenizer(texts, section.tokenizer.vocab_size, part)
        ids = {"pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS}
        set_seed(seed)
        model = GemmaForCausalLM(GemmaConfig(**section.model, **ids, vocab_size=size))
        model.generation_config.eos_token_id = [EOS, END_OF_TURN]
        model.generation_config.save_pretrained(part)
    write_model(model, tokenizer, target, template)
    remove(tokenizer)


def train_tokenizer(texts: Iterable[str], size: int, folder: Path) -> int:
    """Write tokenizer.model, tokenizer.json and tokenizer_config.json of at most `size` pieces.

    Returns how many pieces there are.
    """
    import sentencepiece

    model = io.BytesIO()  # where a prefix of files is named, its path becomes part of the model
    with _told_as_too_few(size):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            model_type="bpe",
            pad_id=PAD,
            eos_id=EOS,
            bos_id=BOS,
            unk_id=UNK,
            pad_piece="<pad>",
            eos_piece="<eos>",
            bos_piece="<bos>",
            unk_piece="<unk>",
            user_defined_symbols=list(RESERVED),
            byte_fallback=True,
            split_digits=True,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity",
            character_coverage=0.9999,
            hard_vocab_limit=False,
            minloglevel=2,
            num_threads=1,
            max_sentence_length=1 << 16,
        )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return _write_fast_tokenizer(folder)


@contextmanager
def _told_as_too_few(size: int) -> Iterator[None]:
    """Turn SentencePiece's own error for a text of too many characters into one for a reader."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
        if found is None:
            raise
        needs = f"{size} pieces, and the corpus needs {found[1]} before its first word"
        hint = f"set it to {2 * int(found[1])} or more"
        where = "base.tokenizer.vocab_size"
        raise UserError(Problem(where, needs, f"at least {found[1]}", hint)) from None


def _write_fast_tokenizer(folder: Path) -> int:
    """Write tokenizer.json from tokenizer.model.

    With Gemma's `<bos>` in front, and with newlines that decoding does not skip. Returns how many
    pieces there are.
    """
    from transformers import GemmaTokenizer

    tokenizer = GemmaTokenizer.from_pretrained(folder)
    value = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in value["added_tokens"]:
        token["special"] = token["content"] not in NEWLINES
    value["post_processor"] = _bos_first()
    write_json(folder / "tokenizer.json", value)
    config = {
        "tokenizer_class": "GemmaTokenizer",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(token["id"]): {field: token[field] for field in TOKEN_FIELDS}
            for token in value["added_tokens"]
        },
    }
    write_json(folder / "tokenizer_config.json", config)
    return len(tokenizer)


def _bos_first() -> dict[str, Any]:
    """The post-processor that puts `<bos>` in front of one text, and of each of two."""
    first = [
        {"SpecialToken": {"id": "<bos>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    second = [
        {"SpecialToken": {"id": "<bos>", "type_id": 1}},
        {"Sequence": {"id": "B", "type_id": 1}},
    ]
    return {
        "type": "TemplateProcessing",
        "single": first,
        "pair": [*first, *second],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}},
    }


def _hand_over(trained: Path, init: Path, target: Path, template: Template) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(trained, dtype="auto")
    write_model(model, init, target, template)
