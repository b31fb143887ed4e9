"""Child processes of the export: quiet, offline, and ended with their parent, so that none writes on after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stemma import ROOT
from stemma.errors import StageFailed
from stemma.processes import die_with_parent

LAST_LINES = 15


def run_python(arguments: list[str], import_path: Path, doing: str) -> None:
    """Run `python <arguments>`. Raises StageFailed with the last lines of its stderr; `doing` says what failed."""
    environment = os.environ | {
        "PYTHONPATH": str(import_path),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    if done.returncode != 0:
        lines = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise StageFailed(f"{doing} failed (exit code {done.returncode}):\n{lines}")
