"""The shell completion: what bash really completes, in both forms of the command."""

from __future__ import annotations

import os
import subprocess

import pytest

from stemma import ROOT
from stemma.cli import main
from stemma.cli_options import recipe_names


def completed(*words: str) -> list[str]:
    """What bash would offer for the last of the words of a command line."""
    script = """
    eval "$(.venv/bin/python -m stemma completion bash)"
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _stemma_completion "$1"
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["stemma", "verif"], ["verify"]),
        (["stemma", "all", "tiny-"], ["tiny-base-dpo"]),
        (["python", "-m", "stemma", "all", "tiny", "--dry"], ["--dry-run"]),
        ([".venv/bin/python", "-m", "stemma", "diff", "tiny", "--with", "qwen3"], ["qwen3-0.6b"]),
        (["python", "script.py", "al"], []),
        (["python", "-m", "stem"], []),
    ],
)
def test_bash_completes_verbs_options_and_recipes(line: list[str], offered: list[str]) -> None:
    assert completed(*line) == offered


def test_recipes_are_offered_by_their_first_letters() -> None:
    assert recipe_names("gemma2b-") == [
        "gemma2b-as-reported",
        "gemma2b-clean",
        "gemma2b-fast",
        "gemma2b-judged",
        "gemma2b-sft-dpo",
    ]


def test_the_shell_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert main(["completion"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Completes `stemma …` and `python -m stemma …`")
    assert "compdef _stemma_completion stemma python python3\n" in said
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == (
        "completion: no completion for `fish`\n"
        "  expected: one of: bash, zsh\n"
        "  hint: `stemma completion bash`\n"
    )
