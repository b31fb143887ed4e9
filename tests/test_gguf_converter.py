"""stemma.gguf_converter: what the converter's failures look like (its work is tested through every GGUF
test)."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma import gguf_converter
from stemma.errors import StageFailed, UserError
from stemma.from_gguf.header import read_gguf
from tests.factories.encoders import write_gguf


def test_without_setup_the_hint_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_converter, "LLAMA_CPP", tmp_path)
    with pytest.raises(UserError, match=r"convert_hf_to_gguf\.py: no such file(.|\n)*make setup"):
        gguf_converter.convert(tmp_path, tmp_path / "out.gguf", "F16", {})


@pytest.mark.parametrize("text", ["", "x", '{"a": "ü – 漢字"}' * 1000])
def test_a_text_is_added_and_all_else_stays(tmp_path: Path, text: str) -> None:
    source = write_gguf(tmp_path / "a.gguf")
    gguf_converter.add_text(source, tmp_path / "b.gguf", "own.key", text)
    before, after = read_gguf(source), read_gguf(tmp_path / "b.gguf")
    found = after.fields.pop("own.key")
    assert isinstance(found, str)
    assert found.rstrip(" ") == text
    for gguf in (before, after):
        gguf.fields.pop("GGUF.kv_count")  # gguf-py's own
    assert after.fields == before.fields
    assert list(after.tensors) == list(before.tensors)
    for name, tensor in before.tensors.items():
        assert after.tensors[name].stored.tobytes() == tensor.stored.tobytes()


@pytest.mark.slow
def test_its_own_words_are_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with pytest.raises(
        StageFailed, match=r"converting to GGUF F16 failed(.|\n)*NoSuchModel is not supported"
    ):
        gguf_converter.convert(tmp_path, tmp_path / "out.gguf", "F16", {})
    assert not (tmp_path / "out.gguf").exists()
