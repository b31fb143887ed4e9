"""Files that must stay as they are while they are measured: what is found of others is not kept.

A file is known by its size, inode and times of change. They are taken before its content is hashed
and looked at again before each sample is kept: so whatever is kept was found of the bytes whose
digest it is kept under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stemma.digests import files_under
from stemma.errors import StageFailed
from stemma.identity import model_files
from stemma.known_digests import Stamp, stamp_of

Stamps = dict[str, Stamp]
"""By a file's path."""


def stamps_of_weights(weights: Path, made_here: bool) -> Stamps:
    """Of all files of a variant; of a model that was made elsewhere those that are the model."""
    files: Sequence[Path] = files_under(weights) if made_here else sorted(model_files(weights))
    return {str(path): stamp_of(path) for path in files}


def refuse_changed(stamps: Mapping[str, Stamp]) -> None:
    """Raises StageFailed where a file is not what it was."""
    for name, stamp in stamps.items():
        path = Path(name)
        if not path.exists() or stamp_of(path) != stamp:
            lost = "what was found since is not kept, and the same command measures it again"
            raise StageFailed(f"{name} changed while it was measured: {lost}")
