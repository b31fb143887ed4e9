"""An output of a run, compared with its manifest before it is used: a damaged model says nothing.

A file's sha256 is remembered with its size, inode and times of change (`stemma.known_digests`), so
gigabytes are read once, and again only when one of these changes. Where run folders are read-only
nothing can be remembered, and they are read each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stemma.digests import files_under
from stemma.known_digests import bytes_to_read
from stemma.runs import Run
from stemma.visible import tell

TOLD_BYTES = 3 * 10**8
"""Of files that are to be read, at least, before somebody who waits is told: a second's work."""


def checked(run: Run, stage: str, name: str) -> Path:
    """The output's path. On a terminal a check that takes long is announced.

    Raises UserError for a damaged file, naming it, its stage and the command that makes it.
    """
    outputs = run.manifest(stage).outputs
    if sys.stderr.isatty() and name in outputs:
        path = run.folder(stage) / outputs[name].path
        to_read = bytes_to_read(files_under(path), run.root.parent)
        if to_read >= TOLD_BYTES:
            size = f"{to_read / 1e9:.1f} GB"
            tell(f"checking {path.name} against its manifest, once: {size} …", file=sys.stderr)
    return run.output(stage, name)
