"""Prompt files for chat models: `prompts/<name>.jinja` beside the recipe, or the project's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemma import ROOT

PROMPTS = ROOT / "recipes" / "prompts"
"""The project's own, for every recipe that brings none of that name."""


@dataclass(frozen=True)
class PromptFiles:
    """A recipe's prompt files."""

    recipe_folder: Path = PROMPTS.parent

    @property
    def folders(self) -> tuple[Path, Path]:
        """Where prompts are looked for, in this order."""
        return self.recipe_folder / "prompts", PROMPTS

    def path(self, name: str) -> Path:
        """The file of a prompt."""
        beside = self.recipe_folder / "prompts" / f"{name}.jinja"
        try:
            is_beside = beside.is_file()
        except OSError:  # a name too long for any file
            is_beside = False
        return beside if is_beside else PROMPTS / beside.name

    def files(self, *names: str) -> dict[str, Path]:
        """The files of several, by names that hold no place: wherever a recipe's own prompt lies,
        it stands for the project's."""
        paths = map(self.path, names)
        return {(PROMPTS / path.name).relative_to(ROOT).as_posix(): path for path in paths}
