"""Weight files of a model's folder: those that transformers would load must be there and whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stemma.base_model.headers import BESIDE, COPY_ANEW, Header, headers_of
from stemma.base_model.layout import Tensors, listed
from stemma.errors import Problem, UserError
from stemma.jsonl import read_object

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "consolidated*.bin")


def read_weights(folder: Path, weightless: bool) -> tuple[Tensors, list[Problem]]:
    """Headers of the tensors that transformers would load, and what is wrong with their files."""
    files = (path for path in folder.glob("*.safetensors") if path.is_file())
    present = {path.name for path in files if not path.name.startswith(BESIDE)}
    if WEIGHTS not in present and not (folder / INDEX).is_file():
        return {}, _no_weights(folder, present, weightless)
    wanted = {WEIGHTS} if WEIGHTS in present else set(_weight_map(folder).values())
    problems = [
        Problem(str(folder / name), "no such file", f"a file that {INDEX} names", COPY_ANEW)
        for name in sorted(wanted - present)
    ]
    if present - wanted:
        found = f"weights that nothing names: {listed(present - wanted)}"
        expected = f"only {listed(wanted)}"
        problems.append(Problem(str(folder), found, expected, "move the others elsewhere"))
    tensors: dict[str, Header] = {}
    for name in sorted(wanted & present):
        try:
            tensors |= headers_of(folder / name)
        except UserError as error:
            problems += error.problems
    if WEIGHTS not in present and not problems:
        problems += _index_problems(folder, tensors)
    return tensors, problems


def _index_problems(folder: Path, tensors: Tensors) -> Iterator[Problem]:
    """Tensors that lie in another file than the index says: transformers reads no others."""
    said = _weight_map(folder)
    apart = {
        name
        for name in said.keys() | tensors.keys()
        if name not in tensors or said.get(name) != tensors[name].path.name
    }
    if apart:
        found = f"{len(apart)} tensors are not where it says: {listed(apart)}"
        yield Problem(str(folder / INDEX), found, "the index of these files", COPY_ANEW)


def _weight_map(folder: Path) -> dict[str, str]:
    found = read_object(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        place = str(folder / INDEX)
        raise UserError(Problem(place, "no `weight_map`", "the file of each tensor", COPY_ANEW))
    return found


def _no_weights(folder: Path, present: set[str], weightless: bool) -> list[Problem]:
    pickles = {path.name for pattern in PICKLES for path in folder.glob(pattern)}
    if pickles and not present:
        names = listed(pickles)
        found = f"weights as pickles only ({names}): loading a pickle runs code that is in it"
        hint = (
            "if you trust them: load them with transformers and `save_pretrained`, which writes "
            "safetensors"
        )
        return [Problem(str(folder), found, WEIGHTS, hint)]
    if present:
        found = f"{listed(present)}, but neither {WEIGHTS} nor {INDEX}"
        return [Problem(str(folder), found, "the names that transformers looks for", COPY_ANEW)]
    if weightless:
        return []
    return [Problem(str(folder), "no weights", f"{WEIGHTS}, or {INDEX} and its files")]
