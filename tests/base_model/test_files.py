from __future__ import annotations

import sys

import pytest

from stemma.base_model.files import cached_file


def test_a_laptop_without_the_hubs_package_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # importing it fails
    assert cached_file("google/gemma-2b", "config.json", None) is None
