"""The conditions of a table of figures: when, on what, with which versions, by which command."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "axolotl", "transformers", "trl", "peft", "liger-kernel", "deepspeed")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def processor() -> str:
    """The CPU's name and cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def conditions(command: str, hardware: str, sizes: str) -> dict[str, str]:
    """`sizes` says n and the seed.

    The load average tells whether other work disturbed the figures.
    """
    packages = ", ".join(f"{name} {number}" for name, number in versions().items())
    load = f"{os.getloadavg()[0]:.1f}"
    date = datetime.now(timezone.utc).date().isoformat()
    return {
        "command": command,
        "date": date,
        "hardware": hardware,
        "sizes": sizes,
        "load": load,
        "versions": packages,
    }


def sentence(found: dict[str, str]) -> str:
    """The same as one line of Markdown."""
    return (
        f"`{found['command']}`, {found['date']}; {found['hardware']}; {found['sizes']}; "
        f"load at the end {found['load']}; {found['versions']}."
    )
