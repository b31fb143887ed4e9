"""The precision that `bf16: auto` comes to."""

from __future__ import annotations

from typing import Any

import pytest

from stemma.training.precision import settle

OPEN: list[dict[str, Any]] = [{"bf16": "auto"}, {}, {"bf16": None}, {"bf16": "auto", "fp16": False}]
DECIDED: list[dict[str, Any]] = [
    {"bf16": True},
    {"bf16": False},
    {"bf16": "auto", "fp16": True},
    {"bfloat16": True},
    {"float16": True},
]


@pytest.mark.parametrize("config", OPEN)
def test_auto_asks_the_cpu(config: dict[str, Any]) -> None:
    assert settle(config, gpu=False, bfloat16=True) == {"bf16": True, "fp16": False}
    assert settle(config, gpu=False, bfloat16=False) == {"bf16": False, "fp16": False}, (
        "float32: never float16"
    )


@pytest.mark.parametrize("config", DECIDED)
@pytest.mark.parametrize("bfloat16", [True, False])
def test_what_is_decided_stays(config: dict[str, Any], bfloat16: bool) -> None:
    assert settle(config, gpu=False, bfloat16=bfloat16) == {}


def test_a_gpu_and_rays_workers_are_axolotls_to_ask() -> None:
    assert settle({"bf16": "auto"}, gpu=True, bfloat16=True) == {}
    assert settle({"bf16": "auto", "use_ray": True}, gpu=False, bfloat16=True) == {}
