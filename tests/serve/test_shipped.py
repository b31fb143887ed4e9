from __future__ import annotations

from pathlib import Path

import pytest

from serve.shipped import Known, known_of, open_file
from stemma.errors import UserError
from stemma.runs import Run
from tests.factories.manifests import write_manifest
from tests.from_gguf.files import write_gguf


def facts(rows: int, several: int, longest: int | None = 256) -> dict[str, object]:
    counts = {"rows": rows, "several_questions": several}
    return {"trained_on": {"rows": {"sft": counts}, "longest_tokens": longest}}


def export(folder: Path, name: str, **fields: object) -> Path:
    """A run's export of one file."""
    run = Run(folder / "mine")
    run.folder("export").mkdir(parents=True)
    path = write_gguf(run.folder("export") / name)
    write_manifest(run, "export", {"gguf-F16": name}, **fields)
    return path


@pytest.mark.parametrize(
    ("rows", "several", "talks"), [(100, 0, False), (100, 9, False), (100, 10, True), (0, 0, False)]
)
def test_a_tenth_of_the_rows_make_a_model_that_talks(
    rows: int, several: int, talks: bool, tmp_path: Path
) -> None:
    export(tmp_path, "a.gguf", facts=facts(rows, several))
    manifest = Run(tmp_path / "mine").manifest("export")
    assert known_of(manifest) == Known(talks, 256)


def test_an_earlier_export_says_nothing(tmp_path: Path) -> None:
    export(tmp_path, "a.gguf")
    assert known_of(Run(tmp_path / "mine").manifest("export")) == Known(None, None)


def test_the_context_is_the_trained_one() -> None:
    """Where all was trained here, the longest rows; else the model's own, up to a laptop's."""
    assert Known(False, 256).context(None, 512) == 256
    assert Known(False, 600).context(None, 512) == 512
    assert Known().context(None, 2048) == 2048
    assert Known().context(None, 131_072) == 4096
    assert Known(False, 256).context(500, 512) == 500


@pytest.mark.parametrize("asked", [0, 63, 513])
def test_a_context_beyond_the_models_positions_is_refused(asked: int) -> None:
    with pytest.raises(UserError) as told:
        Known().context(asked, 512)
    assert str(told.value).splitlines() == [
        f"--context: {asked} tokens",
        "  expected: 64 to the 512 that the model was made for",
    ]


def test_a_file_is_known_by_the_manifest_beside_it(tmp_path: Path) -> None:
    path = export(tmp_path, "a.gguf", facts=facts(10, 10, 128))
    llama, known = open_file(path)
    with llama:
        assert known == Known(talks=True, trained_tokens=128)
        assert llama.context_tokens == 128
    path.rename(tmp_path / "a.gguf")
    llama, known = open_file(tmp_path / "a.gguf")
    with llama:
        assert known == Known()
        assert llama.context_tokens == 256


def test_a_damaged_manifest_beside_a_file_is_none(tmp_path: Path) -> None:
    path = export(tmp_path, "a.gguf", facts=facts(10, 10))
    (path.parent / "manifest.json").write_text("{}")
    llama, known = open_file(path)
    with llama:
        assert known == Known()


def test_files_that_are_none_to_chat_with(tmp_path: Path) -> None:
    bare = write_gguf(tmp_path / "bare.gguf", {"tokenizer.chat_template": None})
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(bare.read_bytes()[:-1000])
    said = {
        "bare": "it carries no chat template: a base model, or no model of language",
        "cut": "llama.cpp cannot load it",
        "none": "no such file",
    }
    for name, found in said.items():
        with pytest.raises(UserError, match=rf"{name}\.gguf: {found}"):
            open_file(tmp_path / f"{name}.gguf")
