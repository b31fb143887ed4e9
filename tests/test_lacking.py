"""What an environment lacks, told and not traced."""

from __future__ import annotations

import sys

import pytest

from stemma import cli
from stemma.lacking import lacking


def test_a_package_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "stemma.doctor", None)
    with pytest.raises(ModuleNotFoundError):  # ours: a bug, which keeps its traceback
        cli.main(["doctor"])

    def app(*arguments: object, **settings: object) -> None:
        raise ModuleNotFoundError("No module named 'llama_cpp.lib'", name="llama_cpp.lib")

    monkeypatch.setattr(cli, "app", app)
    assert cli.main(["chat"]) == 2
    assert capsys.readouterr().err == (
        "environment: this verb needs `llama_cpp`, which this environment lacks\n"
        "  hint: `make setup`; for chat alone `make laptop` (docs/setup.md)\n"
    )


def test_a_library_that_llama_cpp_was_linked_with() -> None:
    said = "Failed to load shared library 'libllama.so': libgomp.so.1: cannot open shared object"
    assert str(lacking(RuntimeError(said))) == (
        f"llama.cpp: {said}\n  expected: a file that loads\n  hint: a library of the system is "
        "missing or too old: `sudo apt install libgomp1`, or build llama.cpp here (docs/setup.md)"
    )
    assert lacking(RuntimeError("ours")) is None
