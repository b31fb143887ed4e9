"""Nothing half-written is believed: torn checkpoints, missing markers, runs that ended early."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stemma import ROOT, launch
from stemma.cluster import Cluster
from stemma.errors import StageFailed, UserError


def make_checkpoint(output: Path, step: int) -> Path:
    folder = output / f"checkpoint-{step}"
    (folder / f"global_step{step}").mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    save_file({"a": torch.ones(2)}, folder / "adapter_model.safetensors")
    torch.save({"a": torch.ones(2)}, folder / f"global_step{step}" / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    return folder


def test_logs_are_off_unless_the_recipe_asks(tmp_path: Path) -> None:
    plain = launch.environment({}, tmp_path, Cluster())
    assert plain["WANDB_MODE"] == "disabled"
    assert "TENSORBOARD_LOGGING_DIR" not in plain
    asked = launch.environment({"wandb_project": "p", "use_tensorboard": True}, tmp_path, Cluster())
    assert "WANDB_MODE" not in asked
    assert (asked["WANDB_DIR"], asked["TENSORBOARD_LOGGING_DIR"]) == (str(tmp_path), str(tmp_path / "tensorboard"))


def test_gloo_takes_the_interface_towards_machine_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert "GLOO_SOCKET_IFNAME" not in launch.environment({}, tmp_path, Cluster())
    two = Cluster(nodes=2, node=1, master="127.0.0.1:29500")
    assert launch.environment({}, tmp_path, two)["GLOO_SOCKET_IFNAME"] == "lo"
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    assert launch.environment({}, tmp_path, two)["GLOO_SOCKET_IFNAME"] == "ib0", "who knows better says so"


def test_the_variable_that_switches_deepspeed_off_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert "ACCELERATE_USE_CPU" not in launch.environment({}, tmp_path, Cluster())


def marker(**changes: Any) -> dict[str, Any]:
    return {"steps": 8, "planned_steps": 8, "not_finite": [], **changes}


def test_a_whole_checkpoint(tmp_path: Path) -> None:
    assert launch.is_complete(make_checkpoint(tmp_path, 4))


def test_zero_0_keeps_its_optimizer_with_the_model(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, 4)
    [states] = checkpoint.glob("global_step4/*.pt")
    states.rename(states.with_name("mp_rank_00_model_states.pt"))
    assert launch.is_complete(checkpoint)


@pytest.mark.parametrize(
    "name",
    ["trainer_state.json", "adapter_model.safetensors", "global_step4/zero_pp_rank_0_mp_rank_00_optim_states.pt"],
)
@pytest.mark.parametrize("torn", ["cut", "missing"])
def test_a_torn_checkpoint(name: str, torn: str, tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, 4)
    path = checkpoint / name
    if torn == "cut":
        path.write_bytes(path.read_bytes()[:-6])
    else:
        path.unlink()
    assert not launch.is_complete(checkpoint)


def test_torn_checkpoints_are_moved_aside_and_prepared_data_is_dropped(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, 4)
    (make_checkpoint(tmp_path, 8) / "trainer_state.json").unlink()
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    launch.prepare({"dataset_prepared_path": str(prepared)}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "torn"]
    assert (tmp_path / "torn" / "checkpoint-8").is_dir()


def test_a_complete_run_is_not_trained_again(tmp_path: Path) -> None:
    (tmp_path / "completed.json").write_text(json.dumps(marker()))
    assert launch.train({"output_dir": str(tmp_path)}, tmp_path / "axolotl.yml", Cluster(), print) == marker()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"not_finite": ["a.lora_B", "b.lora_B"]}, "2 tensors with NaN or infinity, the first: a.lora_B"),
        ({"steps": 5}, "ended at step 5 of 8"),
    ],
)
def test_a_marker_with_bad_news(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "completed.json").write_text(json.dumps(marker(**changes)))
    with pytest.raises(StageFailed, match=said):
        launch.train({"output_dir": str(tmp_path)}, tmp_path / "axolotl.yml", Cluster(), print)


def test_several_processes_need_deepspeed(tmp_path: Path) -> None:
    config = {"output_dir": str(tmp_path / "training"), "dataset_prepared_path": str(tmp_path / "prepared")}
    told = "2 training processes without `deepspeed`\n  expected: DeepSpeed, or one process\n  hint: on CPUs they would"
    with pytest.raises(UserError, match=told):
        launch.train(config, tmp_path / "axolotl.yml", Cluster(processes=2), print)


def test_why_a_run_stopped(tmp_path: Path) -> None:
    (tmp_path / "axolotl.log").write_text("a line\nthe last line\n")
    assert "exit code 0" in launch.why(tmp_path, tmp_path / "axolotl.log", 0)
    assert launch.why(tmp_path, tmp_path / "axolotl.log", 0).endswith("the last line")
    (tmp_path / "failure.json").write_text(json.dumps({"step": 3, "reason": "the loss of step 3 is nan"}))
    assert "training stopped: the loss of step 3 is nan" in launch.why(tmp_path, tmp_path / "axolotl.log", 1)


def test_a_child_ends_with_its_killed_parent() -> None:
    code = (
        "import subprocess; from stemma.child import die_with_parent\n"
        "print(subprocess.Popen(['sleep', '60'], preexec_fn=die_with_parent).pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        child = Path(f"/proc/{int(parent.stdout.readline())}/stat")
        assert child.exists()
        parent.kill()
    deadline = time.monotonic() + 5
    while child.exists() and " Z " not in child.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.exists() or " Z " in child.read_text()
