"""The command line: verbs, exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from stemma import ROOT
from stemma.cli import main
from stemma.cli_stages import STAGE_HELP
from stemma.errors import GateFailed
from stemma.jsonl import write_json
from stemma.recipe.models import Recipe
from stemma.stages import MODULES, Forecast, Result, Work
from tests.factories.families import write_byte_tokenizer
from tests.factories.models import tiny_model
from tests.factories.recipes import MADE

Write = Callable[..., Path]
Say = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def small(recipe: Recipe) -> None:
    """The small recipe and its files, for every test here."""


@pytest.fixture
def tiny_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage writes one small file; with the seed 13 it fails its gate, with 14 it has a bug
    of ours."""

    def run(work: Work) -> Result:
        if work.recipe.seed == 13:
            raise GateFailed("merge: top-1 agreement 0.4 < 0.98")
        if work.recipe.seed == 14:
            raise KeyboardInterrupt
        if work.recipe.seed == 15:
            raise ZeroDivisionError("ours")
        work.say("writing")
        (work.folder / "out.txt").write_text(str(work.recipe.seed))
        # Of any stage: what `data` says of its rows.
        return Result({"text": "out.txt"}, counts={"sets": {"dpo": {"train": 9, "test": 1}}})

    forecast = Forecast(
        {"requests": 1200, "cost_usd_at_most": None}, {"sft": ["a row"] * 5}, {"sft": 1195}
    )
    monkeypatch.setattr("data_builders.run.forecast", lambda _work: forecast)
    for name in MODULES:
        monkeypatch.setitem(MODULES, name, lambda: SimpleNamespace(run=run))


def test_every_stage_has_a_verb() -> None:
    assert set(STAGE_HELP) == set(MODULES)


def test_check_names_the_good_and_the_bad(write_recipe: Write, capsys: Say) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "small: ok\n"
    write_recipe(name="broken", text="extends: small\nname: broken\ndpo: {lerning_rate: 1}\n")
    write_recipe(name="worse", text="extends: small\nname: worse\ndop: {}\n")
    assert main(["check"]) == 2
    said = capsys.readouterr()
    assert said.out == "small: ok\n"
    assert said.err.splitlines()[0] == "recipes/broken.yml:3: unknown key `lerning_rate` in dpo"
    assert said.err.count("recipes/broken.yml:3") == 1
    assert "recipes/worse.yml:3: unknown key `dop` in the recipe" in said.err


def test_no_recipes_is_not_all_well(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "recipes/small.yml").unlink()
    assert main(["check"]) == 2
    assert capsys.readouterr().err == "recipes: no recipes\n  expected: *.yml files\n"


def test_unknown_recipe_and_verb_are_the_users(capsys: Say) -> None:
    assert main(["show", "smal"]) == 2
    assert "hint: did you mean `small`?" in capsys.readouterr().err
    assert main(["chekc"]) == 2
    assert "No such command 'chekc'" in capsys.readouterr().err
    assert main(["show"]) == 2
    assert "Missing argument 'RECIPE'" in capsys.readouterr().err


def test_show_prints_the_resolved_recipe_and_what_axolotl_gets(capsys: Say) -> None:
    assert main(["show", "small", "--set", "dpo.learning_rate=1e-4"]) == 0
    out = capsys.readouterr().out
    recipe, base, sft, dpo = out.split("# --- ")[1:]
    assert recipe.startswith("recipe small\nname: small\n")
    assert "parts:\n      validation: 0.05" in recipe  # defaults are shown
    assert base.startswith("base: ")
    assert "base_model: runs/small/base/merged\n" in sft
    assert "base_model: runs/small/sft/merged\n" in dpo
    assert "learning_rate: 0.0001\n" in dpo


def rendered(said: str, stage: str) -> dict[str, Any]:
    """The Axolotl file of a stage in what `show` printed."""
    [text] = [part for part in said.split("# --- ") if part.startswith(f"{stage}:")]
    values: dict[str, Any] = YAML(typ="safe").load(text.partition("\n")[2])
    return values


def test_show_knows_the_special_tokens_of_a_local_model(
    write_recipe: Write, tmp_path: Path, capsys: Say
) -> None:
    write_byte_tokenizer(tmp_path / "model", "llama")
    write_json(tmp_path / "model" / "config.json", {"attn_logit_softcapping": 30.0})
    corpus = ("  corpus: {sources: [{source: from_sets}]}\n", "")
    write_recipe((MADE, "base_model: model\n"), corpus)
    assert main(["show", "small"]) == 0
    here = rendered(capsys.readouterr().out, "sft")
    assert here["special_tokens"] == {
        "eos_token": "<|end_of_text|>",
        "pad_token": "<|end_of_text|>",
    }
    assert (here["base_model"], here["attn_implementation"]) == ("model", "eager")
    write_recipe((MADE, "base_model: nobody/nothing\n"), corpus)
    assert main(["show", "small"]) == 0
    said = capsys.readouterr().out
    assert (
        "into the name); special tokens are added when the base model is on this machine\n" in said
    )
    elsewhere = rendered(said, "sft")
    assert elsewhere == {k: v for k, v in here.items() if k != "special_tokens"} | {
        "base_model": "nobody/nothing",
        "attn_implementation": "sdpa",
    }


def test_the_chain_runs_and_then_is_up_to_date(tiny_stages: None, capsys: Say) -> None:
    assert main(["status", "small"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["data    not done", "base    not done"]
    assert main(["all", "small"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"data    done in \d+ s: runs/small/data", said.out.splitlines()[0])
    assert said.err.splitlines()[0] == "[data] writing"
    assert main(["all", "small"]) == 0
    assert [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "up to date"
    ] * 7


def test_dry_run_says_what_would_run(tiny_stages: None, capsys: Say) -> None:
    main(["all", "small"])
    capsys.readouterr()
    assert main(["all", "small", "--dry-run", "--set", "sft.learning_rate=1e-3"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "data    up to date",
        "base    up to date",
        "sft     would run (stale: sft.learning_rate 2e-4 -> 1e-3)",
        "dpo     would run (stale: waits for sft)",
        "export  would run (stale: waits for sft, dpo)",
        "eval    would run (stale: waits for sft, dpo, export)",
        "report  would run (stale: waits for sft, dpo, export, eval)",
    ]
    assert main(["data", "small", "--dry-run", "--force"]) == 0
    assert capsys.readouterr().out == (
        "data    would run (up to date)\n        requests: 1,200\n"
        "        cost usd at most: unknown: no price table\n"
        "        sft rows to train on: 1,200\n"
    )


def test_preview_shows_rows_of_the_sources(
    write_recipe: Write, tmp_path: Path, capsys: Say
) -> None:
    (tmp_path / "pairs.jsonl").write_text(
        '{"prompt": "What is it?", "chosen": "a", "rejected": "b"}\n'
    )
    assert main(["preview", "small", "--source", "preference_jsonl", "-n", "1"]) == 0
    assert "  [1] pairs.jsonl:1\n    prompt:\n      What is it?\n" in capsys.readouterr().out
    assert main(["preview", "small", "--source", "mmlu"]) == 2
    assert "--source: `mmlu` fills no set of `small`" in capsys.readouterr().err


def test_a_recipe_of_data_alone_is_checked_built_and_shown(
    write_recipe: Write, tmp_path: Path, capsys: Say
) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"question": "What is 1 + 2?", "answer": "1 + 2 = 3\\n#### 3"}\n'
    )
    source = "{source: gsm8k, path: train.jsonl, use: train}"
    write_recipe(text=f"name: small\ndata:\n  sft:\n    sources:\n    - {source}\n")
    for verb in ("check", "show", "plan", "data", "status", "preview", "verify", "all"):
        assert main([verb, "small"]) == 0, verb
    assert "sft rows to train on: 1" in capsys.readouterr().out
    for verb, said in {
        "sft": "has no stage `sft`",
        "chat": "builds data only",
        "export": "has no stage `exp",
    }.items():
        assert main([verb, "small"]) == 2
        assert said in capsys.readouterr().err


def test_missing_upstream_is_the_users(tiny_stages: None, capsys: Say) -> None:
    assert main(["sft", "small"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(
        "runs/small/data/manifest.json: stage `data` of recipe `small` is not done"
    )
    assert "Traceback" not in err


def test_a_recipe_of_another_folder_is_named_by_its_path(
    tiny_stages: None, tmp_path: Path, capsys: Say
) -> None:
    elsewhere = tmp_path / "my recipes"
    shutil.copytree(tmp_path / "recipes", elsewhere)
    assert main(["sft", "my recipes/small.yml"]) == 2
    assert f"run `make data RECIPE='{elsewhere / 'small.yml'}'`" in capsys.readouterr().err


def test_one_stage_on_a_stale_upstream_says_so(tiny_stages: None, capsys: Say) -> None:
    assert main(["all", "small"]) == 0
    capsys.readouterr()
    assert main(["dpo", "small", "--set", "sft.learning_rate=1e-5"]) == 0
    said = capsys.readouterr().err
    assert (
        "warning: `sft` is stale: sft.learning_rate 2e-4 -> 1e-5; `make all "
        "RECIPE=small` brings" in said
    )
    assert main(["dpo", "small"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_failed_gate_ends_with_1_and_an_interruption_with_130(
    tiny_stages: None, capsys: Say
) -> None:
    assert main(["data", "small", "--set", "seed=13"]) == 1
    assert capsys.readouterr().err == "failed: merge: top-1 agreement 0.4 < 0.98\n"
    assert main(["data", "small", "--set", "seed=14"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_our_own_bugs_keep_their_traceback(tiny_stages: None) -> None:
    with pytest.raises(ZeroDivisionError):
        main(["data", "small", "--set", "seed=15"])


def test_verify_finds_a_changed_byte(tiny_stages: None, tmp_path: Path, capsys: Say) -> None:
    main(["all", "small", "--runs", "elsewhere"])
    assert main(["verify", "small", "--runs", "elsewhere"]) == 0
    assert "sft     text               ok" in capsys.readouterr().out
    (tmp_path / "elsewhere/small/sft/out.txt").write_text("43")
    assert main(["verify", "small", "--runs", "elsewhere"]) == 1
    said = capsys.readouterr()
    assert "sft     text               DAMAGED" in said.out
    assert (
        said.err
        == "failed: not as they were made: sft/text; put them back, or run these stages again\n"
    )


def test_unwritable_runs_give_one_clear_error(
    tiny_stages: None, tmp_path: Path, capsys: Say
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["data", "small", "--runs", "file"]) == 2
    assert (
        "cannot write: Not a directory\n  expected: a writable folder with free space"
        in capsys.readouterr().err
    )


def test_a_file_without_the_right_to_read_it(
    tiny_stages: None, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    def refuse(work: Work) -> Result:
        raise PermissionError(13, "Permission denied", "secret.jsonl")

    monkeypatch.setitem(MODULES, "data", lambda: SimpleNamespace(run=refuse))
    assert main(["data", "small"]) == 2
    assert capsys.readouterr().err == (
        "secret.jsonl: cannot be read or written: Permission denied\n"
        "  hint: give yourself the right to\n"
    )


def test_no_error_says_a_key_back(tiny_stages: None, capsys: Say) -> None:
    key = "sk-ant-api03-" + "a1B2c3D4e5" * 2
    assert main(["preview", "small", "--source", key]) == 2
    said = capsys.readouterr().err
    assert key not in said
    assert said.startswith("--source: `(hidden)` fills no set")


def test_a_file_that_breaks_off_is_told(
    tiny_stages: None, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    """As `/proc/self/mem` does, and a disk that fails."""

    def fail(work: Work) -> Result:
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(MODULES, "data", lambda: SimpleNamespace(run=fail))
    assert main(["data", "small"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Input/output error: cannot be read or written: Input/output error\n")


def test_a_verb_that_is_no_stage_on_a_read_only_disk(
    tiny_stages: None, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "manifest.json")

    monkeypatch.setattr("stemma.show.damaged", refuse)
    assert main(["verify", "small", "--seal"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("manifest.json: cannot be read or written: Read-only file system\n")
    assert "hint: pass --runs FOLDER" in said


@pytest.mark.slow
def test_doctor_really_looks_and_never_shows_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert main(["doctor"]) in (0, 1)  # 1: this machine lacks something
    out = capsys.readouterr().out
    assert f"torch                {version('torch')}" in out
    assert "OPENAI_API_KEY       set\n" in out
    assert "sk-secret" not in out
    accelerator = next(line for line in out.splitlines() if "accelerator" in line)
    assert accelerator.startswith("ok ")


def python(code: str, folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_help_and_check_never_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from stemma.cli import main; codes = main(['--help']), main(['check', "
        "'recipes/small.yml']); "
        "heavy = {'torch', 'transformers', 'axolotl', 'llama_cpp', 'openai', 'numpy'} & "
        "set(sys.modules); "
        "assert codes == (0, 0) and not heavy, (codes, heavy)"
    )
    done = python(code, tmp_path, ROOT)
    assert done.returncode == 0, done.stderr


def test_help_waits_for_no_recipe_models(tmp_path: Path) -> None:
    code = (
        "import sys; from stemma.cli import main; main(['--help']); "
        "assert 'pydantic' not in sys.modules"
    )
    done = python(code, tmp_path, ROOT)
    assert done.returncode == 0, done.stderr


def test_the_console_script_finds_the_stages_in_the_checkout(tmp_path: Path) -> None:
    site = tmp_path / "site"  # holds `stemma` alone, as an installation does
    site.mkdir()
    (site / "stemma").symlink_to(ROOT / "stemma")
    done = python(
        "import sys; from stemma.cli import main; sys.exit(main(['check', 'recipes/small.yml']))",
        tmp_path,
        site,
    )
    assert (done.returncode, done.stdout) == (0, "small: ok\n"), done.stderr


@pytest.mark.parametrize("verb", ["check", "plan", "data", "sft", "all"])
def test_an_unfit_base_model_is_refused_before_anything_runs(
    verb: str, tiny_stages: None, tmp_path: Path, write_recipe: Write, capsys: Say
) -> None:
    folder = Path(shutil.copytree(tiny_model(), tmp_path / "model"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    write_recipe((MADE, f"base_model: {folder}\n"))
    capsys.readouterr()  # what making the model says
    assert main([verb, "small"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"{folder}: weights as pickles only (pytorch_model.bin)")
    assert captured.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_base_model_without_weights_is_enough_to_plan_and_to_build_data(
    tiny_stages: None, tmp_path: Path, write_recipe: Write, capsys: Say
) -> None:
    folder = Path(shutil.copytree(tiny_model(), tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    write_recipe((MADE, f"base_model: {folder}\n"))
    assert main(["data", "small"]) == 0
    assert main(["check", "small"]) == main(["all", "small"]) == 2
    assert f"{folder}: no weights" in capsys.readouterr().err
    shutil.copytree(tiny_model(), folder, dirs_exist_ok=True)
    (folder / "tokenizer.json").unlink()
    assert main(["check", "small"]) == 2
    assert (
        f"{folder}: no tokenizer.json\n  expected: the model's tokenizer" in capsys.readouterr().err
    )


def test_a_stop_text_of_several_tokens_is_told_where_the_tokenizer_is_known(
    tiny_stages: None, tmp_path: Path, write_recipe: Write, capsys: Say
) -> None:
    recipe = write_recipe((MADE, f"base_model: {tiny_model()}\n"))
    template = recipe.parent / "templates" / "qa.jinja"
    for end, said in {
        "<end_of_turn>\\n' + eos_token": "ends with '<end_of_turn>\\n"
        "<eos>': several tokens, and engines stop at one\n"
        "  expected: one of the tokenizer's special tokens\n"
        "  hint: end it with `<end_of_turn>` alone, and",
        "<|end|>'": "ends with '<|end|>', which is no special token of this model",
    }.items():
        template.write_text(
            "{{ bos_token }}{% for m in messages %}{{ m.content + '" + end + " }}{% endfor %}"
        )
        for verb in ("check", "plan", "all"):
            assert main([verb, "small"]) == 2
            assert said in capsys.readouterr().err
    template.write_text(
        "{{ bos_token }}{% for m in messages %}{{ m.content + '<end_of_turn>\\n' }}{% endfor %}"
    )
    assert main(["check", "small"]) == 0


def test_a_course_s_file_that_cannot_be_graded_is_the_users(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "m.jsonl").write_text('{"question": "Which unit?", "answer": "A"}\n')
    assert main(["course", "small", "m.jsonl", "gone.jsonl"]) == 2
    err = capsys.readouterr().err
    assert "m.jsonl:1: no question with its options" in err
    assert "gone.jsonl: no such file" in err
    assert "Traceback" not in err


def test_ctrl_c_while_it_is_loaded_ends_with_a_word_too(tmp_path: Path) -> None:
    """A module that is loaded first stands for any: the signal comes in the middle of it."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stemma", "check"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert done.stderr == "interrupted; the same command goes on with what is kept\n"
