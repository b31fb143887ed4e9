"""A model folder to a GGUF by the real converter and back by `import`: the same weights, tokens and
template, for every family; and what the proof says of a folder that is not the model of the
file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stemma.cli import main
from stemma.errors import GateFailed
from stemma.from_gguf.conversations import TURNS
from stemma.from_gguf.header import read_gguf
from stemma.from_gguf.proof import prove
from stemma.gate import demand, failed
from stemma.gguf_converter import convert
from stemma.jsonl import read_json, write_json
from tests.factories.families import make_family

pytestmark = pytest.mark.slow
FILES = Path(__file__).parents[2] / "recipes" / "templates"
TEMPLATES = {
    "gemma": "qa",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "qwen2": "chatml",
    "qwen3": "chatml",
    "llama": "llama3",
    "smollm2": "smollm2",
}


def make(folder: Path, kind: str, dtype: str) -> Path:
    """A family's folder with its recipe's template, as a GGUF."""
    text = (FILES / f"{TEMPLATES[kind]}.jinja").read_text(encoding="utf-8")
    config = read_json(make_family(folder / "origin", kind) / "tokenizer_config.json")
    write_json(folder / "origin" / "tokenizer_config.json", config | {"chat_template": text})
    (folder / "origin" / "chat_template.jinja").write_text(text, encoding="utf-8")
    convert(folder / "origin", folder / "model.gguf", dtype, {})
    return folder / "model.gguf"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for path in folder.glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


@pytest.mark.parametrize("kind", TEMPLATES)
def test_there_and_back(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoTokenizer

    source = make(tmp_path, kind, "F32")
    assert main(["import", str(source), str(tmp_path / "back"), "--dtype", "float32"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1] == f"{tmp_path}/back: done"
    )  # engines greet on stdout, once
    origin, back = weights(tmp_path / "origin"), weights(tmp_path / "back")
    assert origin.keys() == back.keys()
    for (
        name,
        tensor,
    ) in origin.items():  # the converter adds 1 to Gemma's norms, which rounds them once
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=1.2e-7 if "norm" in name else 0)
    ours, theirs = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("back", "origin"))
    for text in [part for turn in TURNS for part in turn]:
        for specials in (True, False):
            one, other = (
                tokenizer(text, add_special_tokens=specials)["input_ids"]
                for tokenizer in (ours, theirs)
            )
            assert one == other
    for name in ("eos_token_id", "chat_template"):
        assert getattr(ours, name) == getattr(theirs, name)
    # Qwen's tokenizer names no first token; its GGUF names the config's, which the template never
    # writes.
    assert ours.bos_token_id == (151643 if kind.startswith("qwen") else theirs.bos_token_id)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("gemma", "bfloat16"), ("gemma2", "float16"), ("qwen3", "float16")]
)
def test_rounded(kind: str, dtype: str, tmp_path: Path) -> None:
    source = make(tmp_path, kind, "F32")
    assert main(["import", str(source), str(tmp_path / "back"), "--dtype", dtype]) == 0
    origin, back = weights(tmp_path / "origin"), weights(tmp_path / "back")
    for name, tensor in origin.items():
        if "norm" not in name:
            assert torch.equal(back[name], tensor.to(getattr(torch, dtype)))


def test_again_is_up_to_date_and_another_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = make(tmp_path, "smollm2", "F16"), tmp_path / "back"
    assert main(["import", str(source), str(target), "--licence", "Apache-2.0"]) == 0
    origin = read_json(target / "provenance.json")
    assert (origin["file"], origin["licence"], origin["dtype"]) == (
        "model.gguf",
        "Apache-2.0",
        "bfloat16",
    )
    assert {check["name"]: check["value"] for check in origin["checks"]}[
        "conversations tokenized differently"
    ] == 0
    card = (target / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
    assert "dequantised from F16 and F32 and rounded to bfloat16" in card
    capsys.readouterr()
    assert main(["import", str(source), str(target), "--licence", "Apache-2.0"]) == 0
    assert capsys.readouterr().out == f"{target}: up to date\n"
    (target / "model.safetensors").write_bytes(b"")
    assert main(["import", str(source), str(target), "--licence", "Apache-2.0"]) == 2
    assert "is there already, and not this import" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_proof_finds_what_is_wrong(tmp_path: Path) -> None:
    source, folder = make(tmp_path, "smollm2", "F32"), tmp_path / "back"
    assert main(["import", str(source), str(folder), "--dtype", "float32"]) == 0
    damaged = weights(folder)
    damaged["model.layers.1.mlp.up_proj.weight"][2, 3] += 1e-6
    save_file(damaged, folder / "model.safetensors", metadata={"format": "pt"})
    config = read_json(folder / "config.json")
    config["rope_parameters"]["rope_theta"] = 20000.0
    write_json(folder / "config.json", config)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["pre_tokenizer"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }
    convert(folder, tmp_path / "damaged.gguf", "F32", {})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    checks, _ = prove(read_gguf(source), folder, tmp_path / "damaged.gguf", "float32")
    tokens, header, values = checks
    assert tokens.value is not None
    assert tokens.value > 20
    assert header.name.endswith("changed: llama.rope.freq_base")
    assert (header.value, values.value) == (1, 1)
    assert failed(checks) == checks
    with pytest.raises(GateFailed, match="the folder: header keys that come back changed"):
        demand(checks, "the folder is not the model of the file")
