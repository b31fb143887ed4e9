"""stemma.gguf_converter: what the converter's failures look like (its work is tested through every GGUF
test)."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma import gguf_converter
from stemma.errors import StageFailed, UserError


def test_without_setup_the_hint_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_converter, "LLAMA_CPP", tmp_path)
    with pytest.raises(UserError, match=r"convert_hf_to_gguf\.py: no such file(.|\n)*make setup"):
        gguf_converter.convert(tmp_path, tmp_path / "out.gguf", "F16", {})


@pytest.mark.slow
def test_its_own_words_are_reported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with pytest.raises(
        StageFailed, match=r"converting to GGUF F16 failed(.|\n)*NoSuchModel is not supported"
    ):
        gguf_converter.convert(tmp_path, tmp_path / "out.gguf", "F16", {})
    assert not (tmp_path / "out.gguf").exists()
