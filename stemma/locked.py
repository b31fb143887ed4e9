"""The locked file: each package of this environment with the sha256 of the file that pip takes for
it on this platform. `make locked` writes it; `setup.sh` installs by it (docs/supply-chain.md).

    aiohttp==3.14.5 \\
        --hash=sha256:5f3a…

Left out: torch and what belongs to its build (CPU or CUDA), llama-cpp-python, which is built from
the sdist whose sha256 `setup.sh` holds, and Stemma itself. pip alone tells names and digests, asked
at PyPI whatever this machine's settings are: no address and no path reaches the file.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stemma import ROOT
from stemma.errors import StageFailed
from stemma.visible import tell

NAME = f"locked-{platform.system()}-{platform.machine()}.txt"
LEFT_OUT = re.compile(r"pip|stemma|torch|triton|llama-cpp-python|(nvidia|cuda)-(?!ml-py$).*")
"""Packages that are not locked; `nvidia-ml-py` is of no build."""
INDEX = "https://pypi.org/simple"
HEAD = f"""\
# Written by `make locked` on {platform.system()} {platform.machine()} with Python \
{sys.version_info[0]}.{sys.version_info[1]}: what `setup.sh` installs here, file by file.
# constraints.txt says which versions and why; docs/supply-chain.md what is not locked.
"""


def main() -> None:
    """Write the file for this platform."""
    path = ROOT / NAME
    path.write_text(locked_text(asked(pins())), encoding="utf-8")
    tell(path)


def pins() -> list[str]:
    """The installed packages that are locked, e.g. `aiohttp==3.14.5`."""
    found = {canonical(one.metadata["Name"]): one.version for one in distributions()}
    return [
        f"{name}=={version}"
        for name, version in sorted(found.items())
        if not LEFT_OUT.fullmatch(name)
    ]


def canonical(name: str) -> str:
    """A package's name as an index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(wanted: Iterable[str]) -> list[dict[str, Any]]:
    """What pip would install for the pins, by its own report. Raises StageFailed with its words."""
    with TemporaryDirectory() as folder:
        given, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        given.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "--isolated", "install", "--index-url", INDEX]
        command += ["--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
        command += ["--report", str(report), "--requirement", str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StageFailed(f"pip could not tell the files:\n{done.stderr.strip()}")
        installed: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["install"]
        return installed


def locked_text(report: Iterable[Mapping[str, Any]]) -> str:
    """The file's text, by pip's report."""
    lines = [
        f"{canonical(one['metadata']['name'])}=={one['metadata']['version']} \\\n"
        f"    --hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}\n"
        for one in sorted(report, key=lambda one: canonical(one["metadata"]["name"]))
    ]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    main()
