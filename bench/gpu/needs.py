"""The options and needs of the GPU bench.

They are looked at before any engine is imported, so that a missing one is an error to read and no
traceback. A contestant that is not installed is no error: it is named in the table.
"""

from __future__ import annotations

import argparse
import atexit
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from stemma.errors import Problem, UserError

TURNS = 2
GPU_GB = 70
"""GPU memory that stock trainers need.

They keep all logits of a batch, several times over: tens of GB for Gemma's vocabulary.
"""
PACKAGES = ("torch", "transformers", "peft")


def parse(description: str | None) -> argparse.Namespace:
    """What every part takes, and a few may ignore."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--small", action="store_true", help="a small model and a few rows, to try the script"
    )
    parser.add_argument(
        "--turns", type=int, default=TURNS, help="how often each contestant has its turn"
    )
    parser.add_argument("--kind", help="one contestant only, where the part can tell them apart")
    parser.add_argument(
        "--wheels", type=Path, metavar="FOLDER", help="wheels to use for this run, not installed"
    )
    return parser.parse_args()


def put_on_path(wheels: Path) -> Path:
    """Unpack the folder's wheels into a temporary folder.

    It comes first on this process's path.
    """
    files = sorted(wheels.glob("*.whl"))
    if not files:
        raise UserError(
            Problem(
                "--wheels",
                f"no *.whl in {wheels}",
                "a folder of wheels",
                "`pip download` makes one",
            )
        )
    site = Path(tempfile.mkdtemp(prefix="stemma-bench-wheels-"))
    atexit.register(shutil.rmtree, site, ignore_errors=True)
    for file in files:
        try:
            with ZipFile(file) as wheel:
                wheel.extractall(site)
        except (BadZipFile, OSError) as error:
            raise UserError(
                Problem("--wheels", f"{file}: {error}", "a whole wheel", "copy it again")
            ) from error
    sys.path.insert(0, str(site))
    return site


def require(device: str, small: bool) -> None:
    """Raises UserError when the bench cannot run here."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        found = f"{', '.join(missing)} not installed"
        hint = (
            "`make setup` installs all contestants; these three are enough for a part of the table"
        )
        raise UserError(Problem("bench.gpu", found, ", ".join(PACKAGES), hint))
    if device == "cuda":
        _require_gpu(0 if small else GPU_GB)


def _require_gpu(gigabytes: int) -> None:
    import torch

    if not torch.cuda.is_available():
        hint = (
            "`--device cpu --small` tries the same code on a CPU; a CUDA build of torch comes "
            "with `make setup`"
        )
        raise UserError(
            Problem(
                "bench.gpu", "no CUDA device", f"a GPU with {GPU_GB} GB free (H100, H200)", hint
            )
        )
    free = torch.cuda.mem_get_info()[0] / 1e9
    if free < gigabytes:
        found = f"{free:.0f} GB free on {torch.cuda.get_device_name()}"
        raise UserError(
            Problem(
                "bench.gpu",
                found,
                f"{gigabytes} GB free",
                "end other programs on it, or add `--small`",
            )
        )
