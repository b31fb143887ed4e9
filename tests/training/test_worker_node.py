"""A machine other than the first: what it waits for and joins, and when nobody comes.

With real machines and real training: `test_two_machines.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stemma.errors import StageFailed, UserError
from stemma.jsonl import write_json
from stemma.keys import key_of
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.run_stages import Options, run_stages
from stemma.runs import Run
from stemma.training import launch
from stemma.training.cluster import Cluster
from stemma.training.worker_node import Waiting, WorkerNode, joined_stages
from tests.conftest import Write
from tests.factories.manifests import put_manifest, write_manifest

CLUSTER = Cluster(processes=1, nodes=2, node=1, master="host0:29500")


@dataclass
class Watch:
    """A clock that sleeping turns on, with something that may happen meanwhile."""

    now: float = 0.0
    happens: dict[float, object] = field(default_factory=dict)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if event := self.happens.pop(self.now, None):
            event()  # type: ignore[operator]

    def waiting(self, seconds: float = 600) -> Waiting:
        return Waiting(seconds, lambda: self.now, self.sleep)


@pytest.fixture
def recipe(write_recipe: Write) -> Recipe:
    return load(write_recipe())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose `data` is done, for `sft` on a base that is not."""
    run = Run(tmp_path / "runs" / "small")
    run.folder("data").mkdir(parents=True)
    (run.folder("data") / "rows.jsonl").write_text("{}\n")
    put_manifest(run, "data", ["rows.jsonl"])
    return run


def put_base(run: Run) -> None:
    run.folder("base").mkdir(exist_ok=True)
    (run.folder("base") / "merged").mkdir()
    put_manifest(run, "base", ["merged"])


def finish(recipe: Recipe, run: Run, stage: str, end: str = "now") -> None:
    """Its manifest, as machine 0 writes it."""
    write_manifest(run, stage, {}, key=key_of(recipe, run, stage), end=end)


def invite(recipe: Recipe, run: Run, key: str | None = None, master: str = CLUSTER.master) -> None:
    folder = run.folder("sft")
    folder.mkdir(exist_ok=True)
    write_json(folder / ".begun.json", {"key": key or key_of(recipe, run, "sft")})
    config = {"output_dir": str(folder / "training"), "deepspeed": "zero1.json"}
    write_json(folder / launch.INVITATION, {"nodes": 2, "master": master, "config": config})


def test_it_waits_for_what_comes_before_and_takes_what_is_done(recipe: Recipe, run: Run) -> None:
    watch, said = (
        Watch(happens={70.0: lambda: put_base(run), 90.0: lambda: finish(recipe, run, "sft")}),
        list[str](),
    )
    run.folder("sft").mkdir()
    assert (
        WorkerNode(recipe, run, CLUSTER, said.append, waiting=watch.waiting()).join("sft")
        == "up to date"
    )
    assert watch.now == 90
    assert said == ["waiting for machine 0 (60 s)"]


def test_forced_it_waits_for_a_new_manifest(recipe: Recipe, run: Run) -> None:
    put_base(run)
    run.folder("sft").mkdir()
    finish(recipe, run, "sft")
    old = run.folder("sft") / "manifest.json"
    watch = Watch(
        happens={
            5.0: old.unlink,
            9.0: lambda: finish(recipe, run, "sft", "later"),
        }
    )
    node = WorkerNode(recipe, run, CLUSTER, print, force=True, waiting=watch.waiting())
    assert node.join("sft") == "up to date"
    assert watch.now == 9


def test_it_joins_only_its_own_work(
    recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_base(run)
    invite(recipe, run, key="of another recipe")
    joined: list[Path] = []
    monkeypatch.setattr(launch, "join", lambda folder, *_: joined.append(folder))
    watch = Watch(happens={30.0: lambda: invite(recipe, run)})
    assert WorkerNode(recipe, run, CLUSTER, print, waiting=watch.waiting()).join("sft") == "joined"
    assert (joined, watch.now) == ([run.folder("sft")], 30)


def test_nobody_comes(recipe: Recipe, run: Run) -> None:
    put_base(run)
    with pytest.raises(
        StageFailed,
        match=r"machine 0 did not start `sft` in 20 s; is the same command running there",
    ):
        WorkerNode(recipe, run, CLUSTER, print, waiting=Watch().waiting(20)).join("sft")
    invite(recipe, run, key="of another recipe")
    with pytest.raises(
        StageFailed, match="from another recipe, other data or a checkout at another path"
    ):
        WorkerNode(recipe, run, CLUSTER, print, waiting=Watch().waiting(20)).join("sft")


def test_an_invitation_left_by_a_killed_machine_is_to_nothing(recipe: Recipe, run: Run) -> None:
    put_base(run)
    invite(recipe, run)
    write_json(run.folder("sft") / "training" / "completed.json", {})
    watch = Watch(happens={3.0: lambda: finish(recipe, run, "sft")})
    assert (
        WorkerNode(recipe, run, CLUSTER, print, waiting=watch.waiting()).join("sft") == "up to date"
    )


def test_machines_must_agree_where_they_meet(recipe: Recipe, run: Run) -> None:
    put_base(run)
    invite(recipe, run, master="elsewhere:1")
    with pytest.raises(UserError, match="MASTER=host0:29500, but machine 0 says 2 at elsewhere:1"):
        launch.join(run.folder("sft"), CLUSTER)


def test_only_stages_up_to_the_last_training_are_shared() -> None:
    assert joined_stages(["data", "base", "sft", "dpo", "export", "eval"]) == [
        "data",
        "base",
        "sft",
        "dpo",
    ]
    assert joined_stages(["export"]) == []


def test_the_verbs_leave_other_stages_to_the_first(
    recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"NNODES": "2", "NODE_RANK": "1", "MASTER": "host0:29500"}.items():
        monkeypatch.setenv(name, value)
    put_base(run)
    run.folder("sft").mkdir()
    finish(recipe, run, "sft")
    run_stages(recipe, run, ["sft", "export"], Options(print))
    assert capsys.readouterr().out == "sft     up to date\nexport  left to machine 0\n"
    monkeypatch.setenv("NODE_RANK", "2")
    with pytest.raises(UserError, match="NODE_RANK: 2"):
        run_stages(recipe, run, ["sft"], Options(print))
