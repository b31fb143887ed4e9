"""The engine every stage runs in, with a tiny stage of its own: freshness, adoption, killed
attempts, locks."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from stemma import freshness, keys, stages
from stemma.chain import STAGES, chain, upstream
from stemma.errors import GateFailed, StageFailed, UserError
from stemma.freshness import State, is_fresh, states
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.run_stages import warn_of_stale_upstream
from stemma.runs import Run
from stemma.stages import Result, Work, execute

Write = Callable[..., Path]


class Stage:
    """Writes its settings to a file, or fails where it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails: BaseException | None = None
        self.found: list[str] = []

    def run(self, work: Work) -> Result:
        self.calls += 1
        self.found = sorted(
            path.name for path in work.folder.iterdir() if not path.name.startswith(".")
        )
        (work.folder / "checkpoint").write_text("half")
        if self.fails:
            raise self.fails
        (work.folder / "out.txt").write_text(f"{work.recipe.seed}")
        return Result({"text": "out.txt"}, counts={"rows": 1}, facts={"said": "so"})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    tiny = Stage()
    for name in stages.MODULES:
        monkeypatch.setitem(stages.MODULES, name, lambda: tiny)
    return tiny


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "runs" / "small")


def bring(recipe: Recipe, run: Run, stage: str = "data", force: bool = False) -> str:
    return execute(recipe, run, stage, print, force)


def test_every_stage_of_the_chain_has_a_module() -> None:
    assert tuple(stages.MODULES) == STAGES
    for load_module in stages.MODULES.values():
        assert callable(load_module().run)


def test_chain_and_upstream_follow_the_recipe(recipe: Recipe) -> None:
    assert chain(recipe) == ["data", "base", "sft", "dpo", "export", "eval", "report"]
    assert upstream(recipe, "sft") == ["data", "base"]
    assert upstream(recipe, "dpo") == ["data", "sft"]
    assert upstream(recipe, "export") == ["data", "base", "sft", "dpo"]
    assert upstream(recipe, "report") == ["data", "base", "sft", "dpo", "export", "eval"]


def test_a_done_stage_is_up_to_date_and_tells_how_it_was_made(
    recipe: Recipe, run: Run, stage: Stage
) -> None:
    assert bring(recipe, run) == "done"
    assert bring(recipe, run) == "up to date"
    assert stage.calls == 1
    manifest = run.manifest("data")
    assert manifest.outputs["text"].bytes == 2  # "42"
    assert (
        manifest.outputs["text"].sha256
        == "73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049"
    )
    assert (manifest.counts, manifest.facts, manifest.seed) == ({"rows": 1}, {"said": "so"}, 42)
    assert run.output("data", "text").read_text() == "42"


def test_what_makes_a_stage_stale(recipe: Recipe, run: Run, stage: Stage, tmp_path: Path) -> None:
    bring(recipe, run)
    assert not is_fresh(load("small", ["seed=7"]), run, "data")
    assert is_fresh(load("small", ["eval.beta=0.2"]), run, "data")  # another stage's setting
    (tmp_path / "train.jsonl").write_text("{}\n{}\n")
    assert not is_fresh(recipe, run, "data")
    assert bring(recipe, run) == "done"
    run.output("data", "text").unlink()
    assert bring(recipe, run) == "done"
    assert bring(recipe, run, force=True) == "done"
    assert stage.calls == 4


def test_weights_of_another_axolotl_are_stale_and_told(
    recipe: Recipe, run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "base", "sft"):
        bring(recipe, run, name)
    monkeypatch.setattr(keys, "axolotl_version", lambda: "99.0")
    monkeypatch.setattr(freshness, "axolotl_version", lambda: "99.0")
    monkeypatch.setattr(stages, "axolotl_version", lambda: "99.0")
    assert [name for name in ("data", "base", "sft") if not is_fresh(recipe, run, name)] == [
        "base",
        "sft",
    ]
    told = f"stale: made with axolotl {version('axolotl')}"
    found = states(recipe, run)
    assert [str(found[name]) for name in ("data", "base", "sft")] == [
        "up to date",
        told,
        "stale: waits for base",
    ]
    assert (found["base"].waits_for, found["sft"].waits_for) == ((), ("base",))
    assert found["dpo"] == State("not done")
    warned: list[str] = []
    warn_of_stale_upstream(recipe, run, "dpo", warned.append)
    hint = "`make all RECIPE=small` brings the chain up to date"
    assert warned == [f"warning: `base` is {told} (and what came of it: sft); {hint}"]
    said: list[str] = []
    assert execute(recipe, run, "base", said.append) == "done"
    assert said == [f"base: made with axolotl {version('axolotl')}, anew with 99.0"]


def test_a_changed_upstream_makes_the_next_stage_stale(
    recipe: Recipe, run: Run, stage: Stage
) -> None:
    bring(recipe, run)
    bring(recipe, run, "base")
    assert is_fresh(recipe, run, "base")
    bring(load("small", ["seed=7"]), run)
    assert not is_fresh(recipe, run, "base")


def test_missing_upstream_names_the_command(recipe: Recipe, run: Run, stage: Stage) -> None:
    with pytest.raises(UserError, match=r"stage `data` of recipe `small` is not done") as caught:
        bring(recipe, run, "base")
    assert (
        "hint: run `make data RECIPE=small`, or the whole chain with `make all RECIPE=small`"
        in str(caught.value)
    )
    assert not run.folder("base").exists()


def test_a_stage_the_recipe_does_not_have(recipe: Recipe, run: Run, stage: Stage) -> None:
    with pytest.raises(UserError, match="recipe `small` has no stage `mcq`"):
        bring(recipe, run, "mcq")


def test_missing_input_file(recipe: Recipe, run: Run, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").unlink()
    with pytest.raises(UserError, match=r"small.yml \(data\): no such file: pairs.jsonl"):
        bring(recipe, run)


@pytest.mark.parametrize(
    "failure", [GateFailed("the merge broke the model"), KeyboardInterrupt(), ZeroDivisionError()]
)
def test_no_manifest_after_a_failure_and_the_same_work_goes_on(
    recipe: Recipe, run: Run, stage: Stage, failure: BaseException
) -> None:
    stage.fails = failure
    with pytest.raises(type(failure)):
        bring(recipe, run)
    assert run.read_manifest("data") is None
    stage.fails = None
    assert bring(recipe, run) == "done"
    assert stage.found == ["checkpoint"]  # what the ended attempt left


def test_a_failed_repetition_leaves_no_old_manifest(recipe: Recipe, run: Run, stage: Stage) -> None:
    bring(recipe, run)
    stage.fails = GateFailed("broken")
    with pytest.raises(GateFailed):
        bring(recipe, run, force=True)
    assert run.read_manifest("data") is None


def test_what_another_attempt_left_is_never_taken(recipe: Recipe, run: Run, stage: Stage) -> None:
    stage.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bring(recipe, run)
    stage.fails = None
    bring(load("small", ["seed=7"]), run)
    assert stage.found == []
    assert run.output("data", "text").read_text() == "7"


def test_another_recipes_identical_stage_is_adopted(
    write_recipe: Write, recipe: Recipe, run: Run, stage: Stage
) -> None:
    bring(recipe, run)
    write_recipe(name="other", text="extends: small\nname: other\neval: {beta: 0.2}\n")
    other, its_run = load("other"), Run(run.root.parent / "other")
    assert bring(other, its_run) == "reused"
    manifest = its_run.manifest("data")
    assert (manifest.recipe, manifest.reused_from) == ("other", "small")
    assert its_run.output("data", "text").read_text() == "42"
    assert bring(other, its_run) == "up to date"
    assert bring(other, its_run, force=True) == "done"
    assert stage.calls == 2


def test_a_different_stage_is_not_adopted(
    write_recipe: Write, recipe: Recipe, run: Run, stage: Stage
) -> None:
    bring(recipe, run)
    write_recipe(name="other", text="extends: small\nname: other\nseed: 7\n")
    assert bring(load("other"), Run(run.root.parent / "other")) == "done"


def test_only_one_process_works_on_a_stage(recipe: Recipe, run: Run, stage: Stage) -> None:
    bring(recipe, run)
    with (run.folder("data") / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is working here"):
            bring(recipe, run, force=True)
        assert bring(recipe, run) == "up to date", "nothing is to be done, so nothing is locked"


def test_a_finished_run_where_nothing_can_be_written(
    recipe: Recipe, run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(recipe, run)
    lock = run.folder("data") / ".lock"
    lock.unlink()

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert bring(recipe, run) == "up to date"
    assert not lock.exists()


def test_runs_that_cannot_be_written(recipe: Recipe, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write: "):
        bring(recipe, Run(tmp_path / "file" / "small"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_runs(recipe: Recipe, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot write: Permission denied") as caught:
        bring(recipe, Run(tmp_path / "locked" / "small"))
    assert "hint: free some space, or pass --runs FOLDER" in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            OSError(28, "No space left on device", "out.txt"),
            "out.txt: cannot write: No space left on device\n",
        ),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "data: cannot write: No space left on",
        ),
        (
            StageFailed("axolotl ended (exit code 1) …\nfile write failed"),
            "data: cannot write: file write failed\n",
        ),
    ],
)
def test_a_full_disk_is_one_clear_error(
    recipe: Recipe, run: Run, stage: Stage, failure: Exception, said: str
) -> None:
    stage.fails = failure
    with pytest.raises(UserError, match=re.escape(said)):
        bring(recipe, run)
    assert run.read_manifest("data") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_manifest_is_no_proof_and_no_traceback(
    write_recipe: Write, recipe: Recipe, run: Run, stage: Stage, text: str
) -> None:
    bring(recipe, run)
    (run.folder("data") / "manifest.json").write_text(text)
    for name in ("data", "base"):
        with pytest.raises(
            UserError, match=r"data/manifest\.json: not a manifest of this version"
        ) as caught:
            bring(recipe, run, name)
    assert "hint: run `make data RECIPE=small FORCE=1`" in str(caught.value)
    assert str(states(recipe, run)["data"]) == "stale: not a manifest of this version"
    write_recipe(name="other", text="extends: small\nname: other\n")
    assert (
        bring(load("other"), Run(run.root.parent / "other")) == "done"
    )  # takes nothing over from it
    assert bring(recipe, run, force=True) == "done"


def test_a_lost_or_never_made_output_names_the_command(
    recipe: Recipe, run: Run, stage: Stage
) -> None:
    bring(recipe, run)
    (run.folder("data") / "out.txt").unlink()
    with pytest.raises(UserError, match=r"data/out\.txt: stage `data` has no output `text`"):
        run.output("data", "text")
    with pytest.raises(UserError, match="run `make data RECIPE=small`"):
        run.output("data", "mcq/train")


def test_kill_9_leaves_no_manifest_and_no_lock(
    recipe: Recipe, run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if not child:
        monkeypatch.setattr(stage, "run", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        bring(recipe, run)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert run.read_manifest("data") is None
    assert bring(recipe, run) == "done"
