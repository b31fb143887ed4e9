"""What an environment lacks for a verb: a package, or a library that llama.cpp was linked with."""

from __future__ import annotations

from stemma import ROOT
from stemma.errors import Problem

UNLOADED = "Failed to load shared library"
"""How llama-cpp-python begins."""


def lacking(error: Exception) -> Problem | None:
    """A failed import told to a reader; nothing where the error is of another kind, or ours."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if (ROOT / package).is_dir():
            return None
        hint = "`make setup`; for chat alone `make laptop` (docs/setup.md)"
        found = f"this verb needs `{package}`, which this environment lacks"
        return Problem("environment", found, hint=hint)
    if str(error).startswith(UNLOADED):
        hint = "a library of the system is missing or too old: `sudo apt install libgomp1`, or "
        hint += "build llama.cpp here (docs/setup.md)"
        return Problem("llama.cpp", str(error), "a file that loads", hint)
    return None
