"""The input of a training: its rows as Axolotl reads them, and the Axolotl file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stemma.base_model.files import added_first, lacks_padding
from stemma.digests import digest_json
from stemma.errors import Problem, UserError
from stemma.files import atomic
from stemma.jsonl import read_rows, write_jsonl
from stemma.stages import Work
from stemma.templates import Template
from stemma.training import axolotl, launch
from stemma.training.rows import (
    ROWS,
    Sample,
    Split,
    Tokenize,
    prove,
    refuse_special,
    sample,
    tokenizing,
)
from stemma.weights import attention_of

TOO_LONG = "left_out_longer_than_sequence_len"


def tokenizer_of(folder: Path) -> Tokenize:
    """The way the model in `folder` tokenizes rendered text."""
    from transformers import AutoTokenizer

    return tokenizing(AutoTokenizer.from_pretrained(folder).backend_tokenizer)


def special_tokens_of(folder: Path) -> list[str]:
    """The special tokens of the model in `folder` that are drawn as something.

    No text may hold one.
    """
    from transformers import AutoTokenizer

    known = AutoTokenizer.from_pretrained(folder).added_tokens_decoder.values()
    return [token.content for token in known if token.special and token.content.strip()]


def adds_bos(folder: Path) -> bool:
    """Whether the tokenizer puts `<bos>` in front by itself."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return bool(tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id)


def read_splits(work: Work, template: Template, start: Path) -> dict[str, Split]:
    """The stage's `train` and `validation` rows, checked on the tokens of the model in `start`.

    Raises UserError where there is nothing to train on, or a row holds a special token.
    """
    tokenize = tokenizer_of(start)
    special = special_tokens_of(start)
    splits = {}
    for name in ("train", "validation"):
        path = work.input("data", f"{work.stage}/{name}")
        rows = read_rows(path, ROWS[work.stage])
        refuse_special(rows, special, path)
        samples = [sample(row, template) for row in rows]
        split = check_split(samples, tokenize, work, template, template.stop())
        if name == "train" and not split.samples:
            found = f"no rows to train on ({split.counts[TOO_LONG]} were longer than sequence_len)"
            hint = "look at `data` in the recipe, or raise sequence_len"
            raise UserError(Problem(str(path), found, "at least one row", hint))
        splits[name] = split
    return splits


def check_split(
    samples: list[Sample], tokenize: Tokenize, work: Work, template: Template, stop: str
) -> Split:
    """The samples that train, checked on tokens. Raises GateFailed with the figures."""
    longest = work.recipe.training_settings(work.stage)["sequence_len"]
    return prove(samples, tokenize, template.first, stop, longest)


def write_config(
    work: Work, start: Path, splits: dict[str, Split], template: Template
) -> dict[str, Any]:
    """Write the data files and axolotl.yml; returns the config."""
    from ruamel.yaml import YAML

    files = _write_rows(work, start, splits, template)
    paths = axolotl.Paths(
        start=start.resolve(),
        train=files["train"].resolve(),
        validation=files["validation"].resolve() if "validation" in files else None,
        prepared=(work.folder / "prepared").resolve(),
        output=(work.folder / "training").resolve(),
        references=(work.run.root.parent / axolotl.REFERENCES).resolve(),
    )
    pad = template.eos if lacks_padding(start) else ""
    config = axolotl.render(work.recipe, work.stage, paths, template.stop(), pad)
    if "attn_implementation" not in work.recipe.axolotl(work.stage):
        config["attn_implementation"] = attention_of(start)
    config |= launch.precision_for(config)
    with atomic(work.folder / "axolotl.yml") as stream:
        YAML(typ="safe").dump(config, stream)
    return config


def _write_rows(
    work: Work, start: Path, splits: dict[str, Split], template: Template
) -> dict[str, Path]:
    """Write each split that is not empty; returns its file.

    The file's name holds the digest of its rows, because Axolotl's caches go by path.
    """
    added = added_first(work.recipe, template, adds_bos(start))
    files = {}
    for name, split in splits.items():
        if not split.samples:
            continue
        rows = [one.axolotl(added) for one in split.samples]
        files[name] = work.folder / "input" / f"{name}-{digest_json(rows)[:12]}.jsonl"
        write_jsonl(files[name], rows)
    return files
