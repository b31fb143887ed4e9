"""TRL's newest release in an environment of its own, for the DPO benches.

`python -m bench.newest_trl` makes it.

Axolotl pins an older TRL, and who starts afresh takes the newest. Everything but TRL is shared with
the environment that this runs in: torch, transformers and peft are the same for all contestants,
and a few MB are downloaded.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from stemma import ROOT

VERSION = "1.16.0"
NAME = f"trl {VERSION}"
FOLDER = ROOT / ".cache" / "bench" / f"trl-{VERSION}"
SHARED = "shared.pth"


def interpreter(folder: Path = FOLDER) -> Path | None:
    """The environment's Python.

    None where it was not made, or not to its end, or shares another's packages.
    """
    shares = packages(folder) / SHARED
    whole = shares.is_file() and shares.read_text(encoding="utf-8") == _purelib()
    return folder / "bin" / "python" if whole else None


def packages(folder: Path) -> Path:
    return (
        folder
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )


def _purelib() -> str:
    return sysconfig.get_path("purelib")


def make(folder: Path = FOLDER) -> None:
    """Make it anew.

    Its own packages come first on the path, then those that are shared, which are named last.
    """
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, symlinks=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", f"trl=={VERSION}"], check=True)
    (packages(folder) / SHARED).write_text(_purelib(), encoding="utf-8")


if __name__ == "__main__":
    make()
    print(f"{NAME}: {interpreter()}")
