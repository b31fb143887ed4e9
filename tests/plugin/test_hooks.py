"""The plugin's first hook, at which it seeds, and its last, which newer Axolotls call behind failures
too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from axolotl.utils.dict import DictDefault
from safetensors.torch import save_file

from stemma.plugin.hooks import StemmaPlugin
from stemma.training.completion import COMPLETED, FAILURE
from tests.engines.bare import alone
from tests.factories.packing import counted_steps


def trained(output: Path) -> StemmaPlugin:
    """A plugin whose training came to its end, in a folder with an adapter."""
    plugin = StemmaPlugin()
    save_file({"good": torch.ones(1)}, output / "adapter_model.safetensors")
    plugin.record.on_train_end(
        None, SimpleNamespace(global_step=8, max_steps=8, log_history=[]), None
    )
    return plugin


def do_train(plugin: StemmaPlugin, output: Path, failure: BaseException | None) -> None:
    """As Axolotl 0.21's, which calls the hook in a `finally`; 0.19 only behind a success."""
    cfg: Any = DictDefault(output_dir=str(output), adapter="lora")
    try:
        if failure:
            raise failure
    finally:
        plugin.post_train_unload(cfg)


@pytest.mark.parametrize(
    "failure", [OSError("No space left on device"), SystemExit(0), KeyboardInterrupt()]
)
def test_what_failed_is_not_complete(tmp_path: Path, failure: BaseException) -> None:
    """Not saved, although the training was complete and an adapter lies there; ended by Ctrl-C (its
    exit code is 0)."""
    plugin = trained(tmp_path)
    with pytest.raises(type(failure)):
        do_train(plugin, tmp_path, failure)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter_model.safetensors"]


def test_a_failure_before_training_is_not_covered(tmp_path: Path) -> None:
    """The record has no state then."""
    with pytest.raises(ValueError, match="no such model") as caught:
        do_train(StemmaPlugin(), tmp_path, ValueError("no such model"))
    assert caught.value.__context__ is None
    assert list(tmp_path.iterdir()) == []


def test_what_succeeded_is_complete(tmp_path: Path) -> None:
    do_train(trained(tmp_path), tmp_path, None)
    assert (tmp_path / COMPLETED).is_file()


def test_a_training_that_never_came_to_its_end_says_so(tmp_path: Path) -> None:
    do_train(StemmaPlugin(), tmp_path, None)
    told = {"step": 0, "reason": "it did not come to the end of its steps"}
    assert json.loads((tmp_path / FAILURE).read_text()) == told


def steps_counted(output: Path) -> tuple[set[int], set[int]]:
    """Axolotl's numbers of steps when it is left alone, and with the plugin.

    By its own order of things, with rows that are made here and nothing trained on them.
    """
    os.environ.update(AXOLOTL_DO_NOT_TRACK="1", HF_HUB_OFFLINE="1")
    from axolotl.cli import train
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.integrations.base import PluginManager

    stages: Any = train
    counted: list[int] = []
    stages.load_datasets = lambda **_: counted.append(counted_steps())
    stages.train = lambda **_: (None, None, None)
    cfg = DictDefault(plugins=["stemma"], seed=42, output_dir=str(output))
    PluginManager.get_instance().plugins["stemma"] = StemmaPlugin()
    left_alone = set()
    for drawn in range(6):
        torch.manual_seed(drawn)
        left_alone.add(counted_steps())
        train.do_train(cfg, TrainerCliArgs())
    return left_alone, set(counted)


@pytest.mark.slow
def test_a_packed_training_has_as_many_steps_each_time(tmp_path: Path) -> None:
    """Whatever was drawn before Axolotl counts them."""
    left_alone, seeded = alone(steps_counted, tmp_path)
    assert len(left_alone) > 1
    assert len(seeded) == 1
