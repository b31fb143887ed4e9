"""Where the paths in a recipe start, so that it means the same from wherever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stemma.recipe.axolotl_keys import OWN_KEYS
from stemma.recipe.document import Document
from stemma.recipe.folders import is_possible


def place(document: Document, recipes: Path) -> None:
    """Make the paths of a document whole where the folder they start at is not the current one.

    In a recipe of `recipes`, data and model start at the checkout. A recipe elsewhere takes the
    template and the DeepSpeed files that do not lie beside it from `recipes`.
    """
    if document.path.absolute().parent == recipes.absolute():
        if Path().absolute() != recipes.parent.absolute():
            _start_at(recipes.parent, document.values)
    else:
        _borrow(document.values, "chat_template", document.path.parent, recipes)
        for name in OWN_KEYS:
            section = document.values.get(name)
            if isinstance(section, dict):
                _borrow(section, "deepspeed", document.path.parent, recipes)


def _start_at(checkout: Path, values: dict[str, Any]) -> None:
    data = values.get("data")
    if isinstance(data, dict) and isinstance(root := data.get("root", "."), str):
        data["root"] = str(checkout / root)
    model = values.get("base_model")
    if isinstance(model, str) and (model.startswith(".") or _is_there(checkout / model)):
        values["base_model"] = str(checkout / model)


def _borrow(values: dict[str, Any], key: str, beside: Path, recipes: Path) -> None:
    name = values.get(key)
    if isinstance(name, str) and not _is_there(beside / name) and _is_there(recipes / name):
        values[key] = str(recipes / name)


def _is_there(path: Path) -> bool:
    return is_possible(str(path)) and path.exists()
