"""`import` end to end without the converter: what it refuses, that it then leaves nothing, and what
it finds done."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from stemma.cli import main
from stemma.errors import StageFailed, UserError
from stemma.from_gguf import Import
from stemma.from_gguf.import_model import import_model
from stemma.workplace import locked
from tests.from_gguf.files import header, vocabulary, weights, write_gguf

Say = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the folder is to be made; nothing else lies there."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def refused(source: Path, place: Path, capsys: Say, *options: str) -> str:
    """What is said when the import is refused: exit code 2, and nothing was written."""
    before = sorted(place.rglob("*"))
    assert main(["import", str(source), str(place / "model"), *options]) == 2
    assert sorted(place.rglob("*")) == before
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_no_such_file(tmp_path: Path, place: Path, capsys: Say) -> None:
    said = refused(tmp_path / "none.gguf", place, capsys)
    assert (
        said == f"{tmp_path}/none.gguf: no such file\n  expected: a GGUF file\n"
        "  hint: give the path of a .gguf file\n"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 a zip file", "not a GGUF file: it begins with b'PK\\x03\\x04'"),
        (b"GG", "not a GGUF file: it begins with b'GG'"),
        (b"GGUF\x00\x00\x00\x03" + bytes(100), "a big-endian GGUF"),
        (
            b"GGUF\x01\x00\x00\x00" + bytes(100),
            "truncated or damaged: Sorry, file appears to be version 1",
        ),
        (b"GGUF\x03\x00\x00\x00", "truncated or damaged: it ends at byte 8"),
        (
            b"GGUF\x03\x00\x00\x00" + b"\xff" * 41,
            "truncated or damaged: ",
        ),  # on which gguf 0.19 from PyPI hangs
    ],
)
def test_no_gguf(content: bytes, found: str, tmp_path: Path, place: Path, capsys: Say) -> None:
    source = tmp_path / "x.gguf"
    source.write_bytes(content)
    assert f"{source}: {found}" in refused(source, place, capsys)


def test_cut_off_anywhere(tmp_path: Path, place: Path, capsys: Say) -> None:
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    source = tmp_path / "cut.gguf"
    for end in [*range(8, 400, 7), *range(400, len(whole), 20011), len(whole) - 1]:
        source.write_bytes(whole[:end])
        assert f"{source}: truncated or damaged: " in refused(source, place, capsys), end


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (
            {"general.architecture": "mamba"},
            "architecture `mamba`\n  expected: one of llama, qwen2",
        ),
        ({"general.type": "adapter"}, "a GGUF of type `adapter`\n  expected: a model"),
        (
            {"split.count": 3},
            "one of 3 parts of a split file\n  expected: the whole model in one file",
        ),
        ({"tokenizer.ggml.model": None}, "no tokenizer in its header"),
        ({"tokenizer.ggml.tokens": None}, "no tokenizer in its header"),
        (
            {"tokenizer.ggml.model": "bert"},
            "tokenizer `bert`, cut as `smollm`\n  expected: `gpt2` cut as one",
        ),
        (
            {"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": [0.5]},
            "a SentencePiece tokenizer that puts a blank in front of every text, as Llama 2's\n",
        ),
        (
            {"tokenizer.ggml.merges": None},
            "no `tokenizer.ggml.merges` in its header\n  expected: a whole header",
        ),
        ({"tokenizer.ggml.pre": "falcon"}, "tokenizer `gpt2`, cut as `falcon`\n"),
        (
            {"tokenizer.chat_template": None},
            "no chat template in its header\n  expected: tokenizer.chat_template\n",
        ),
        ({"llama.block_count": None}, "no `llama.block_count` in its header"),
        (
            {"llama.rope.dimension_count": 8, "llama.attention.key_length": 16},
            "`llama.attention.key_length` is 16",
        ),
        (
            {"llama.expert_count": 8},
            "header key `llama.expert_count` = 8\n  expected: only keys whose meaning",
        ),
    ],
)
def test_headers_it_cannot_take(
    changed: dict[str, object], found: str, tmp_path: Path, place: Path, capsys: Say
) -> None:
    source = write_gguf(tmp_path / "x.gguf", changed)
    assert f"{source}: {found}" in refused(source, place, capsys)


def test_all_problems_at_once(tmp_path: Path, place: Path, capsys: Say) -> None:
    changed = {
        "tokenizer.ggml.pre": "falcon",
        "tokenizer.chat_template": None,
        "llama.expert_count": 8,
    }
    (place / "model").mkdir()
    (place / "model" / "mine.txt").touch()
    said = refused(write_gguf(tmp_path / "x.gguf", changed), place, capsys)
    for found in (
        "is there already, and not this import",
        "cut as `falcon`",
        "no chat template",
        "llama.expert_count",
    ):
        assert found in said
    assert said.count("expected: ") == 4


def test_only_a_vocabulary(tmp_path: Path, place: Path, capsys: Say) -> None:
    source = write_gguf(tmp_path / "x.gguf", tensors=dict.fromkeys(weights()))
    assert f"{source}: no tensors: only a vocabulary" in refused(source, place, capsys)


def test_another_template(tmp_path: Path, place: Path, capsys: Say) -> None:
    source = write_gguf(tmp_path / "x.gguf", {"tokenizer.chat_template": None})
    said = refused(source, place, capsys, "--template", str(tmp_path / "none.jinja"))
    assert f"{tmp_path}/none.jinja: no such file\n  expected: a Jinja chat template" in said


def test_a_place_that_cannot_be_written(tmp_path: Path, place: Path, capsys: Say) -> None:
    (place / "model").write_text("a file")
    source = write_gguf(tmp_path / "x.gguf")
    assert "is there already, and not this import" in refused(source, place, capsys)
    assert main(["import", str(source), str(place / "model" / "below")]) == 2
    assert f"{place}/model cannot be written to" in capsys.readouterr().err


def test_two_imports_into_one_folder(tmp_path: Path, place: Path, capsys: Say) -> None:
    """The second is refused, and leaves the first one's work as it is."""
    source, work = write_gguf(tmp_path / "x.gguf"), place / ".model.part"
    (work / "model").mkdir(parents=True)
    (work / "model" / "config.json").write_text("the first one's")
    with locked(work):
        said = refused(source, place, capsys)
    assert said.startswith(
        f"{work}: another process is working here\n  hint: wait for it, or end it"
    )


def test_too_little_disk(
    tmp_path: Path, place: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_gguf(tmp_path / "x.gguf")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5 * 10**7))
    said = refused(source, place, capsys)
    assert f"{place}/model: 0.1 GB free on its disk\n  expected: 0.1 GB: the folder" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        StageFailed(
            "converting failed:\nOSError: [Errno 28] No space left on device"
        ),  # what a child's log ends with
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        OSError(28, "No space left on device"),
    ],
)
def test_a_disk_that_fills_up_meanwhile(
    error: Exception, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemma.from_gguf.import_model.converter_knows", lambda _: True)

    def convert(folder: Path, out: Path) -> None:
        out.write_bytes(b"half a file")
        raise error

    order = Import(write_gguf(tmp_path / "x.gguf"), place / "model")
    with pytest.raises(UserError) as caught:
        import_model(order, convert, lambda _: None)
    [problem] = caught.value.problems
    assert (problem.where, problem.found) == (
        str(place / "model"),
        "cannot write: No space left on device",
    )
    assert not list(place.iterdir()), "nothing half-written is left"


@pytest.mark.slow
def test_a_vocabulary_of_its_own(tmp_path: Path, place: Path, capsys: Say) -> None:
    """The converter, which proves the import and exports what is trained on it, stops at one it
    does not know."""
    source = write_gguf(tmp_path / "x.gguf")
    said = refused(source, place, capsys)
    assert (
        f"{source}: its byte pairs, cut as `smollm`, are none that llama.cpp's converter knows\n"
        in said
    )


def test_the_dtype_is_one_of_three(tmp_path: Path, place: Path, capsys: Say) -> None:
    said = refused(write_gguf(tmp_path / "x.gguf"), place, capsys, "--dtype", "int8")
    assert "'int8' is not one of 'bfloat16', 'float16', 'float32'" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "options", "found"),
    [
        (np.nan, (), "1 weights that are not finite"),
        (np.inf, (), "1 weights that are not finite"),
        (
            1e6,
            ("--dtype", "float16"),
            "weights up to 1e+06, too large for float16\n  expected: --dtype bfloat16",
        ),
    ],
)
def test_weights_it_cannot_take(
    value: float, options: tuple[str, ...], found: str, tmp_path: Path, place: Path, capsys: Say
) -> None:
    name = "blk.1.ffn_up.weight"
    weight = weights()[name]
    weight[3, 5] = value
    source = write_gguf(tmp_path / "x.gguf", tensors={name: weight})
    assert f"{source}, tensor {name}: {found}" in refused(source, place, capsys, *options)


@pytest.mark.slow
def test_header_and_weights_that_disagree(tmp_path: Path, place: Path, capsys: Say) -> None:
    changed = {"llama.feed_forward_length": 96}
    missing = {"blk.1.attn_v.weight": None, "blk.0.attn_q.bias": np.zeros(64, np.float32)}
    said = refused(write_gguf(tmp_path / "x.gguf", changed, missing), place, capsys)
    assert "tensor blk.0.ffn_down.weight is (64, 128)\n  expected: (64, 96), by the header" in said
    assert "tensor blk.1.attn_v.weight is missing\n  expected: (32, 64), by the header" in said
    assert "tensor blk.0.attn_q.bias is (64,)\n  expected: no such tensor, by the header" in said


@pytest.mark.slow
def test_a_template_that_cannot_be_rendered(tmp_path: Path, place: Path, capsys: Say) -> None:
    source = write_gguf(tmp_path / "x.gguf", {"tokenizer.chat_template": "{% for m in messages %}"})
    assert "the chat template:1: Unexpected end of template." in refused(source, place, capsys)


def test_the_files_are_what_they_seem(tmp_path: Path) -> None:
    from stemma.from_gguf.header import read_gguf

    found = read_gguf(write_gguf(tmp_path / "x.gguf", kind="Q4_1"))
    assert found.kinds() == {"Q4_1": 15, "F32": 5}
    assert len(vocabulary()) == 265 == len(set(vocabulary()))
    matrices = 265 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64)
    assert found.weights() == matrices + 5 * 64
    assert found.fields["general.license"] == header()["general.license"]
    assert (found.token("bos"), found.token("eos"), found.token("eot")) == (
        "<|im_start|>",
        "<|im_end|>",
        None,
    )


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (
            {"tokenizer.ggml.token_type": [3, 3]},
            "`tokenizer.ggml.token_type` of 2 tokens, and there are 265",
        ),
        ({"tokenizer.ggml.tokens": [*vocabulary()[:-1], "a"]}, "1 tokens that are there twice"),
        (
            {"tokenizer.ggml.tokens": list(range(265))},
            "`tokenizer.ggml.tokens` is no list of texts",
        ),
        (
            {"tokenizer.ggml.bos_token_id": 265},
            "`tokenizer.ggml.bos_token_id` = 265, and there are 265 tokens",
        ),
        ({"tokenizer.ggml.eos_token_id": None}, "no `tokenizer.ggml.eos_token_id`"),
        ({"tokenizer.ggml.merges": ["h e", "zz q"]}, "1 merges of what is no token, e.g. 'zz q'"),
        ({"tokenizer.ggml.merges": ["h e", "he"]}, "1 merges of what is no token, e.g. 'he'"),
        (
            {"llama.attention.head_count": 0},
            "header key `llama.attention.head_count` = 0\n  expected: a whole number",
        ),
        (
            {"llama.attention.head_count": [4, 4]},
            "header key `llama.attention.head_count` = [4, 4]\n",
        ),
        ({"llama.attention.head_count_kv": 0}, "header key `llama.attention.head_count_kv` = 0\n"),
        (
            {"llama.embedding_length": 4_000_000_000},
            "header key `llama.embedding_length` = 4000000000\n",
        ),
        (
            {"llama.rope.freq_base": np.nan},
            "header key `llama.rope.freq_base` = nan\n  expected: a number above 0",
        ),
        (
            {"llama.block_count": 16_000_000},
            "tensors of 2 layers\n  expected: of 16000000, by `llama.block_count`",
        ),
        ({"tokenizer.ggml.tokens": 7}, "`tokenizer.ggml.tokens` is no list of texts"),
        ({"tokenizer.ggml.token_type": True}, "`tokenizer.ggml.token_type` is no list of numbers"),
        ({"tokenizer.ggml.merges": [1, 2]}, "`tokenizer.ggml.merges` is no list of texts"),
        ({"tokenizer.ggml.bos_token_id": np.float32(1)}, "`tokenizer.ggml.bos_token_id` = 1.0"),
        ({"tokenizer.ggml.eos_token_id": "x"}, "`tokenizer.ggml.eos_token_id` = 'x'"),
        ({"tokenizer.ggml.unknown_token_id": True}, "`tokenizer.ggml.unknown_token_id` = True"),
        ({"tokenizer.ggml.add_bos_token": "false"}, "`tokenizer.ggml.add_bos_token` = 'false'"),
        (
            {"llama.block_count": True},
            "header key `llama.block_count` = True\n  expected: a whole number",
        ),
        ({"split.count": "3"}, "one of 3 parts of a split file"),
    ],
)
def test_headers_that_make_no_sense(
    changed: dict[str, object], found: str, tmp_path: Path, place: Path, capsys: Say
) -> None:
    """Also none that claims a model of any size: it is refused before one is made."""
    source = write_gguf(tmp_path / "x.gguf", changed)
    assert f"{source}: {found}" in refused(source, place, capsys)


@pytest.mark.slow
def test_sizes_that_do_not_fit_together(tmp_path: Path, place: Path, capsys: Say) -> None:
    source = write_gguf(tmp_path / "x.gguf", {"llama.embedding_length": 63})
    assert "The hidden size (63) is not a multiple of the number of attention heads" in refused(
        source, place, capsys
    )


def test_arrays_in_arrays_without_end(tmp_path: Path, place: Path, capsys: Say) -> None:
    source = tmp_path / "x.gguf"
    array = (9).to_bytes(4, "little") + (1).to_bytes(8, "little")
    start = (
        b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    )
    source.write_bytes(
        start + (1).to_bytes(8, "little") + b"a" + (9).to_bytes(4, "little") + array * 3000
    )
    assert f"{source}: truncated or damaged: " in refused(source, place, capsys)
