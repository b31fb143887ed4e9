"""The machine that a manifest names."""

from __future__ import annotations

import os
from pathlib import Path

from stemma.origin import hardware, memory_bytes, processor


def test_the_machine_is_named(tmp_path: Path) -> None:
    found = hardware()
    assert found["cores"] == os.cpu_count()
    assert found["memory_bytes"] == memory_bytes() > 100_000_000
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n")
    assert processor(path) == "Some CPU @ 2 GHz"
    assert processor(tmp_path / "none") == ""
