"""The menu: every target is listed, and turns its variables into the right command (nothing is run:
`make -n`)."""

import os
import re
import shlex
import subprocess

import click
import pytest
import typer.main

from stemma import ROOT
from stemma.cli import app

TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", TEXT, re.MULTILINE))


def make(*arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"]}  # no variables of a surrounding `make test`
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def command(*arguments: str) -> list[str]:
    """The words of the command a target would run, behind `python -m stemma`."""
    return shlex.split(make("-n", *arguments).strip().splitlines()[-1])[3:]


def test_make_alone_lists_every_target() -> None:
    listed = set(re.findall(r"^  make ([a-z-]+) ", make(), re.MULTILINE))
    assert {"demo", "test", "export", "eval"} <= listed
    assert listed == TARGETS


def test_every_target_is_phony() -> None:
    phony = {
        name for line in re.findall(r"^\.PHONY:(.*)$", TEXT, re.MULTILINE) for name in line.split()
    }
    assert phony == TARGETS


def test_schema_runs_a_module_that_is_there() -> None:
    [module] = re.findall(r"-m (stemma\S*)", make("-n", "schema"))
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize(
    "stage", ["data", "base", "sft", "dpo", "mcq", "export", "rag", "eval", "report", "all"]
)
def test_a_stage_gets_recipe_and_options(stage: str) -> None:
    assert command(stage) == [stage, "tiny"]
    wanted = [
        "--set",
        "dpo.learning_rate=1e-4",
        "--set",
        "seed=7",
        "--set",
        "data.root=../my data",
        "--force",
    ]
    options = ["RECIPE=course", "SET=dpo.learning_rate=1e-4 seed=7", "DATA=../my data", "FORCE=1"]
    assert command(stage, *options) == [stage, "course", *wanted]


def test_check_looks_at_all_recipes_unless_one_is_named() -> None:
    assert command("check") == ["check"]
    assert command("check", "RECIPE=tiny") == ["check", "tiny"]


def test_preview_shows_all_sources_unless_one_is_named() -> None:
    assert command("preview") == ["preview", "tiny"]
    wanted = ["preview", "course", "--source", "gsm8k", "--set", "data.root=../data"]
    assert command("preview", "RECIPE=course", "SOURCE=gsm8k", "DATA=../data") == wanted


EVERY = ["RECIPE=tiny", "SET=seed=7", "DATA=d", "RUNS=r", "FORCE=1", "WITH=course", "SOURCE=s"]
EVERY += ["TFLOPS=5", "GPUS=2", "LAYERS=2", "GGUF=m.gguf", "TO=m", "QUESTION=q"]
EVERY += ["MCQ=m.jsonl", "PREFERENCE=p.jsonl", "BY=me", "NAME=n", "FROM=a.csv b.csv", "LIKE=tiny"]
VERBS = typer.main.get_command(app)


@pytest.mark.parametrize("target", sorted(TARGETS & set(VERBS.commands)))  # type: ignore[attr-defined]
def test_a_target_gives_its_verb_no_option_that_it_does_not_know(target: str) -> None:
    verb, *words = command(target, *EVERY)
    VERBS.commands[verb].make_context(verb, words)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "lacking"),
    [
        ("compare", "--with"),
        ("import", "FILE.gguf"),
        ("course", "FILE..."),
        ("new", "NAME"),
    ],
)
def test_a_variable_that_was_forgotten_is_named(target: str, lacking: str) -> None:
    verb, *words = command(target)
    with pytest.raises(click.MissingParameter) as caught:
        VERBS.commands[verb].make_context(verb, words)  # type: ignore[attr-defined]
    assert lacking in caught.value.format_message()


def test_diff_compares_with_another_recipe() -> None:
    assert command("diff", "WITH=tiny-base-dpo") == ["diff", "tiny", "--with", "tiny-base-dpo"]


def test_a_course_s_files_may_have_blanks_in_their_names() -> None:
    given = ["MCQ=my questions.jsonl", "PREFERENCE=pairs.jsonl", "TO=my grades"]
    assert command("course", *given) == [
        "course",
        "tiny",
        "my questions.jsonl",
        "pairs.jsonl",
        "--to",
        "my grades",
    ]


def test_a_question_with_quotes_reaches_chat_whole() -> None:
    line = make("-n", "chat", 'QUESTION=What\'s "12" + 7?').strip().splitlines()[-1]
    shown = subprocess.run(
        ["bash", "-c", line.replace(".venv/bin/python -m stemma", "printf '%s|'")],
        env={**os.environ, "QUESTION": 'What\'s "12" + 7?'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == 'chat|tiny|What\'s "12" + 7?|'


def test_where_to_train_reaches_the_command_by_the_environment() -> None:
    script = "show:\n\t@echo $$GPUS $$NNODES $$NODE_RANK $$MASTER\n"
    given = ["GPUS=8", "NNODES=2", "NODE_RANK=1", "MASTER=host0:29500"]
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", *given],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "8 2 1 host0:29500\n"
    assert "NNODES=2 NODE_RANK=0 MASTER=host0:29500" in make()
