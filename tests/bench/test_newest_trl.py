"""The environment with another TRL: what counts as one, and that it is one.

The last is slow, and needs the package index.
"""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from bench.newest_trl import SHARED, VERSION, interpreter, make, packages


def test_what_was_made_to_its_end_for_this_environment_is_taken(tmp_path: Path) -> None:
    assert interpreter(tmp_path) is None
    packages(tmp_path).mkdir(parents=True)
    (packages(tmp_path) / SHARED).write_text("/elsewhere/site-packages")
    assert interpreter(tmp_path) is None, "it shares the packages of another"
    (packages(tmp_path) / SHARED).write_text(sysconfig.get_path("purelib"))
    assert interpreter(tmp_path) == tmp_path / "bin" / "python"


@pytest.mark.slow
def test_it_has_its_own_trl_and_our_torch(tmp_path: Path) -> None:
    try:
        make(tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("no package index at hand")
    python = interpreter(tmp_path)
    assert python
    code = "import importlib.metadata as m, torch; print(m.version('trl'), torch.__version__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    import torch

    assert done.stdout.split() == [VERSION, torch.__version__]
