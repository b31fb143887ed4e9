"""Nothing half-written is believed: missing markers, runs that ended early; and nothing outlives
its launcher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stemma import ROOT
from stemma.errors import StageFailed, UserError
from stemma.facts import PeakMemory
from stemma.jsonl import write_json
from stemma.processes import end_survivors
from stemma.training import launch
from stemma.training.checkpoints import SEAL, binding_of
from stemma.training.cluster import Cluster
from stemma.training.completion import Completed, read_completed
from tests.factories.checkpoints import BINDING, make_checkpoint


def test_logs_are_off_unless_the_recipe_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    plain = launch.environment({}, tmp_path, Cluster())
    assert plain["WANDB_MODE"] == "disabled"
    assert "TENSORBOARD_LOGGING_DIR" not in plain
    asked = launch.environment({"wandb_project": "p", "use_tensorboard": True}, tmp_path, Cluster())
    assert "WANDB_MODE" not in asked
    assert (asked["WANDB_DIR"], asked["TENSORBOARD_LOGGING_DIR"]) == (
        str(tmp_path),
        str(tmp_path / "tensorboard"),
    )


def test_gloo_takes_the_interface_towards_machine_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    assert "GLOO_SOCKET_IFNAME" not in launch.environment({}, tmp_path, Cluster())
    two = Cluster(nodes=2, node=1, master="127.0.0.1:29500")
    assert launch.environment({}, tmp_path, two)["GLOO_SOCKET_IFNAME"] == "lo"
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    assert launch.environment({}, tmp_path, two)["GLOO_SOCKET_IFNAME"] == "ib0", (
        "who knows better says so"
    )


def test_the_variable_that_switches_deepspeed_off_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert "ACCELERATE_USE_CPU" not in launch.environment({}, tmp_path, Cluster())


def completed(binding: str) -> Completed:
    """The marker of a whole training of eight steps."""
    return Completed(
        binding=binding,
        steps=8,
        skipped_steps=0,
        planned_steps=8,
        trainable_parameters=100,
        parameters=1000,
        dtype="float32",
        peak_memory=PeakMemory(bytes=2**30, of="resident memory"),
        trainer={},
        plugins=["stemma.plugin.StemmaPlugin"],
        history=[{"loss": 1.5, "step": 1}],
    )


def config_in(folder: Path) -> dict[str, Any]:
    places = {
        "output_dir": str(folder / "training"),
        "dataset_prepared_path": str(folder / "prepared"),
    }
    return places | {"base_model": "some/model"}


def test_a_complete_run_is_not_trained_again(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    marker = completed(binding_of(config))
    write_json(tmp_path / "training" / "completed.json", marker.model_dump())
    assert launch.train(config, tmp_path / "axolotl.yml", Cluster(), print) == marker


@pytest.mark.parametrize(
    "marker", [{}, [], {"steps": 8}, completed("this one").model_dump() | {"epochs": 2}]
)
def test_a_marker_of_another_stemma_is_not_believed(tmp_path: Path, marker: object) -> None:
    write_json(tmp_path / "completed.json", marker)
    assert read_completed(tmp_path, "this one") is None
    write_json(tmp_path / "completed.json", completed("this one").model_dump())
    assert read_completed(tmp_path, "this one") == completed("this one")


def test_another_trainings_marker_is_not_believed(tmp_path: Path) -> None:
    """Somebody trained by hand in the same folder, with other settings."""
    config = config_in(tmp_path)
    write_json(tmp_path / "training" / "completed.json", completed("of another").model_dump())
    assert read_completed(tmp_path / "training", binding_of(config)) is None
    assert launch.prepare(config, binding_of(config), 1) == []
    assert not (tmp_path / "training" / "completed.json").exists()


def launched(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> dict[str, Any]:
    """A training whose process leaves its marker and ends with this exit code."""
    config = config_in(folder)
    marker = completed(binding_of(config)).model_dump()
    write = f"write_json(Path({config['output_dir']!r}) / 'completed.json', {marker})"
    lines = (
        "from pathlib import Path",
        "from stemma.jsonl import write_json",
        write,
        "print('the last line')",
    )
    child = [sys.executable, "-c", "; ".join((*lines, f"raise SystemExit({code})"))]
    monkeypatch.setattr(launch, "_command", lambda *_: child)
    return launch.train(config, folder / "axolotl.yml", Cluster(), print)


def test_a_marker_counts_with_exit_code_0_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        StageFailed, match=r"exit code 1\) without completing; the end of .*\nthe last line"
    ):
        launched(tmp_path, monkeypatch, code=1)
    assert read_completed(tmp_path / "training", binding_of(config_in(tmp_path))) is None, (
        "nor by the next run"
    )
    assert launched(tmp_path, monkeypatch, code=0) == completed(binding_of(config_in(tmp_path)))


def test_an_interruption_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    config = config_in(tmp_path)
    monkeypatch.setattr(launch, "_command", lambda *_: [])
    monkeypatch.setattr(launch, "_run", interrupted)
    monkeypatch.setattr(launch, "prepare", lambda *_: [])
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            launch.train(config, tmp_path / "axolotl.yml", Cluster(), said.append)
        make_checkpoint(tmp_path / "training", 8)
    assert said == [
        "interrupted before its first checkpoint: nothing of this training is kept",
        "interrupted: it goes on from its checkpoint of step 8",
    ]


def test_several_processes_need_deepspeed(tmp_path: Path) -> None:
    expected = "  expected: DeepSpeed, or one process\n  hint: on CPUs they would"
    told = f"2 training processes without `deepspeed`\n{expected}"
    with pytest.raises(UserError, match=told):
        launch.train(config_in(tmp_path), tmp_path / "axolotl.yml", Cluster(processes=2), print)


def test_why_a_run_stopped(tmp_path: Path) -> None:
    (tmp_path / "axolotl.log").write_text("a line\nthe last line\n")
    assert "exit code 0" in launch.failure_reason(tmp_path, tmp_path / "axolotl.log", 0)
    assert launch.failure_reason(tmp_path, tmp_path / "axolotl.log", 0).endswith("the last line")
    (tmp_path / "failure.json").write_text(
        json.dumps({"step": 3, "reason": "the loss of step 3 is nan"})
    )
    told = launch.failure_reason(tmp_path, tmp_path / "axolotl.log", 1)
    assert told.startswith(
        "training stopped: the loss of step 3 is nan; there is no good checkpoint; lower learning_r"
    )
    make_checkpoint(tmp_path, 2)
    told = launch.failure_reason(tmp_path, tmp_path / "axolotl.log", 1)
    assert f"the last good checkpoint is {tmp_path}/checkpoint-2 (step 2)" in told


def test_prepared_data_and_an_old_failure_are_dropped(tmp_path: Path) -> None:
    prepared, output = tmp_path / "prepared", tmp_path / "training"
    make_checkpoint(output, 4)
    (make_checkpoint(output, 8) / SEAL).unlink()
    prepared.mkdir()
    (output / "failure.json").write_text("{}")
    (output / "completed.json").write_text("{}")
    config = {"dataset_prepared_path": str(prepared), "output_dir": str(output)}
    assert launch.prepare(config, BINDING, 1) == [
        "checkpoint-8 is damaged, or not written to its end: moved to torn/"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training"]
    assert sorted(path.name for path in output.iterdir()) == ["checkpoint-4", "torn"]


def test_a_child_ends_with_its_killed_parent() -> None:
    code = (
        "import subprocess; from stemma.processes import die_with_parent\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=die_with_parent)\n"
        "print(child.pid, flush=True); input()"
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


def test_ranks_that_outlive_their_launcher_are_ended() -> None:
    """A launcher that starts a process in a session of its own, as torchrun does, and is killed."""
    start = "subprocess.Popen(['sleep', '60'], start_new_session=True)"
    code = f"import subprocess, time; {start}; print('!', flush=True); time.sleep(60)"
    variables = os.environ | {"STEMMA_PID": str(os.getpid())}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=variables
    ) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        [survivor] = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        launcher.kill()
        launcher.wait()
        assert Path(f"/proc/{survivor}/environ").read_bytes()
        end_survivors()
        assert launcher.stdout.read() == b"", "the pipe is closed: nobody holds it any more"
