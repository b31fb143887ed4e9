"""Ray Train in torchrun's place, on a cluster that only declares GPUs: the same adapter (slow)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from stemma.errors import UserError
from stemma.runs import Run
from stemma.training import launch
from stemma.training.cluster import Cluster
from tests.conftest import Write
from tests.factories.recipes import LORA
from tests.training.commands import adapter, copied, finish, losses, start

RAY = "  use_ray: true\n  ray_num_workers: 2\n"
BEFORE = "train:\n  adapter: lora\n  lora_r: 8\n"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_two_workers_are_two_ranks(write_recipe: Write, run: Run, stage: str) -> None:
    if stage == "dpo":
        finish(start("sft", write_recipe((BEFORE, LORA)), run.root.parent, batch=2))
    by_torchrun, by_ray = copied(run, "torchrun"), copied(run, "ray")
    finish(start(stage, write_recipe((BEFORE, LORA)), by_torchrun, batch=2, GPUS=2))
    recipe = write_recipe((BEFORE, LORA + RAY))
    # One machine that says it has two GPUs; without a key to share, as nobody else is there.
    declared = {
        "RAY_OVERRIDE_RESOURCES": '{"GPU": 2}',
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    finish(start(stage, recipe, by_ray, batch=2, **declared))
    manifest = Run(by_ray / "small").manifest(stage)
    assert (manifest.facts["processes"], manifest.facts["steps"]) == (2, 4)
    assert "optim_states" in manifest.facts["deepspeed"]
    assert losses(by_ray, stage) == pytest.approx(losses(by_torchrun, stage), abs=1e-6)
    assert torch.allclose(adapter(by_ray, stage), adapter(by_torchrun, stage), atol=1e-6)


def test_the_command_leaves_the_launcher_to_ray(tmp_path: Path) -> None:
    config = {"use_ray": True, "deepspeed": "zero1.json"}
    command = launch._command(tmp_path / "axolotl.yml", config, Cluster(4))
    assert command[1:] == ["train", f"{tmp_path}/axolotl.yml", "--use-ray"]


def test_what_ray_decides_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUS", "8")
    monkeypatch.setattr(launch, "find_spec", lambda _: None)
    with pytest.raises(UserError) as caught:
        launch.cluster_for({"use_ray": True, "ray_num_workers": 8})
    assert "GPUS: set, with `use_ray: true`\n  expected: `ray_num_workers` in the recipe" in str(
        caught.value
    )
    assert "use_ray: true: Ray is not installed" in str(caught.value)
    assert "-e '.[ray]'" in str(caught.value)


def test_ray_says_how_many_train(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GPUS", "NNODES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "find_spec", lambda _: "found")
    assert launch.cluster_for({"use_ray": True, "ray_num_workers": 8}).world_size == 8
