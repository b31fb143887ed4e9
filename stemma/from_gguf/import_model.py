"""The steps of `import`: check the file, write beside the target, prove, then put it there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stemma.base_model.tokenizer import converter_knows
from stemma.digests import digest_of
from stemma.errors import Problem, UserError
from stemma.files import part_of
from stemma.from_gguf import BYTES, Convert, Import, Say
from stemma.from_gguf.architectures import config_of, header_problems
from stemma.from_gguf.card import file_sizes, origin_of, template_name, write_card
from stemma.from_gguf.header import GgufFile, read_gguf
from stemma.from_gguf.tokenizer_files import tokenizer_problems
from stemma.gate import demand
from stemma.identity import PROVENANCE
from stemma.jsonl import read_json
from stemma.plain_files import not_plain
from stemma.progress import phase
from stemma.workplace import empty, locked, why_unwritable

SPARE_BYTES = 64 * 2**20
"""For the tokenizer's files and what the file system takes."""
FLOAT32_BYTES = 4


def import_model(order: Import, convert: Convert, say: Say) -> str:
    """Make the folder; returns `done` or `up to date`.

    Raises UserError, or GateFailed when the proof fails.
    """
    order = replace(order, target=order.target.resolve())  # a link stays one; `.` gets a name
    if _is_there(order):
        return "up to date"
    gguf = read_gguf(order.source)
    template = _accept(order, gguf)
    from stemma.from_gguf.folder import write_folder  # torch: only for what has passed
    from stemma.from_gguf.proof import conversations, prove

    with _beside(order.target) as work:
        if problems := _target(order, gguf):  # another import may have come to its end meanwhile
            raise UserError(problems)
        model = work / "model"
        back = work / "back.gguf"
        phase(say, f"writing {gguf.weights():,} weights as {order.dtype}")
        write_folder(gguf, order.dtype, template, model)
        conversations(model)  # a template that cannot be rendered is told before the long part
        phase(say, "converting them back, to compare with the file")
        if not converter_knows(model):
            hint = "a model on such a tokenizer could be trained, but not exported again"
            expected = "the vocabulary of a published model"
            pairs = f"its byte pairs, cut as `{gguf.tokenizer('pre')}`,"
            found = f"{pairs} are none that llama.cpp's converter knows"
            raise UserError(Problem(str(order.source), found, expected, hint))
        convert(model, back)
        phase(say, "comparing tokens, weights and predictions")
        checks, left_out = prove(gguf, model, back, order.dtype)
        demand(checks, "the folder is not the model of the file; nothing is written.")
        for line in [*map(str, checks), *([left_out] if left_out else [])]:
            say(line)
        write_card(model, origin_of(order, gguf) | {"left_out": left_out}, checks)
        model.replace(order.target)
    return "done"


def _is_there(order: Import) -> bool:
    """Whether the folder is this very import of this very file, its files as large as they were
    written."""
    try:
        origin = read_json(order.target / PROVENANCE)
        asked = {
            "sha256": digest_of(order.source),
            "dtype": order.dtype,
            "template": template_name(order),
        }
        asked |= {"licence": order.licence} if order.licence else {}
        return asked.items() <= origin.items() and origin["files"] == file_sizes(order.target)
    except (OSError, UserError, KeyError, AttributeError):
        return False


def _accept(order: Import, gguf: GgufFile) -> str:
    """The chat template to write.

    Raises UserError with everything that speaks against the import.
    """
    problems = [
        *_target(order, gguf),
        *_whole_model(gguf),
        *header_problems(gguf),
        *tokenizer_problems(gguf),
    ]
    template = gguf.template
    if order.template is not None:
        template = _read_template(order.template, problems)
    elif not template:
        hint = "give one with --template, e.g. recipes/templates/chatml.jinja"
        problems.append(
            Problem(
                str(gguf.path), "no chat template in its header", "tokenizer.chat_template", hint
            )
        )
    if problems:
        raise UserError(problems)
    config_of(gguf)  # raises where the header contradicts itself
    return str(template)


def _read_template(path: Path, problems: list[Problem]) -> str:
    if not (found := not_plain(path)):
        return path.read_text(encoding="utf-8")
    problems.append(Problem(str(path), found, "a Jinja chat template", "see recipes/templates"))
    return ""


def _whole_model(gguf: GgufFile) -> list[Problem]:
    where, parts = str(gguf.path), gguf.fields.get("split.count", 1)
    kind = gguf.fields.get("general.type", "model")
    if parts not in (0, 1):  # 0: joined again by llama-gguf-split
        hint = "join them first: llama-gguf-split --merge FIRST.gguf WHOLE.gguf"
        return [
            Problem(
                where, f"one of {parts} parts of a split file", "the whole model in one file", hint
            )
        ]
    if kind != "model":
        return [Problem(where, f"a GGUF of type `{kind}`", "a model")]
    return (
        []
        if gguf.tensors
        else [Problem(where, "no tensors: only a vocabulary", "a model with its weights")]
    )


def _target(order: Import, gguf: GgufFile) -> list[Problem]:
    """Whether the folder can be made: nothing is there, and there is room for it and for what it is
    compared with."""
    where = str(order.target)
    if order.target.is_file() or (order.target.is_dir() and any(order.target.iterdir())):
        hint = "give another FOLDER, or remove this one yourself"
        return [
            Problem(where, "is there already, and not this import", "a new or empty folder", hint)
        ]
    place = next(path for path in order.target.absolute().parents if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return [Problem(where, f"{place} cannot be written to", "a place where you may write")]
    needed = gguf.weights() * (BYTES[order.dtype] + FLOAT32_BYTES) + SPARE_BYTES
    free = shutil.disk_usage(place).free
    if free >= needed:
        return []
    found = f"{free / 1e9:.1f} GB free on its disk"
    expected = f"{needed / 1e9:.1f} GB: the folder, and for a while a float32 GGUF to compare with"
    return [Problem(where, found, expected, "free some space, or give a FOLDER on another disk")]


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder next to the target to work in, for one import at a time; it is gone afterwards,
    whatever happened."""
    work = part_of(target)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work):
            try:
                empty(work)  # of what a killed import left
                (work / "model").mkdir()
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except Exception as error:  # safetensors and the converter have errors of their own
        told = error.strerror if isinstance(error, OSError) else None
        if (reason := told or why_unwritable(error)) is None:
            raise
        found = f"cannot write: {reason}"
        where = str(error.filename or target) if isinstance(error, OSError) else str(target)
        hint = "give a FOLDER where you may write"
        raise UserError(Problem(where, found, "a writable place with free space", hint)) from None
