"""GGUF files that chat opens, a recipe's shipped one or any other, and what is known of each: the
context it was trained with, whether it was trained on conversations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serve.checked import checked
from stemma.errors import Problem, StageFailed, UserError
from stemma.llama import Llama
from stemma.plain_files import plain_file
from stemma.processes import cores
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Manifest, Run
from stemma.templates import Template

MOST_TOKENS = 4096
"""Of a context that nobody asked for: the memory of long ones is a laptop's."""
LEAST_TOKENS = 64
TALKING_SHARE = 0.1
"""Rows with several questions, from which on a model was trained on conversations."""


@dataclass(frozen=True)
class Known:
    """What is known of a file's training."""

    talks: bool | None = None
    """Whether it was trained on conversations; None: nothing says so."""
    trained_tokens: int | None = None
    """The longest rows it ever saw, where all of its training was the recipe's."""

    def context(self, asked: int | None, positions: int) -> int:
        """Tokens of the context, of a model that was made for so many positions.

        Raises UserError where more are asked for.
        """
        if asked is None:
            return min(self.trained_tokens or positions, positions, MOST_TOKENS)
        if not LEAST_TOKENS <= asked <= positions:
            expected = f"{LEAST_TOKENS} to the {positions} that the model was made for"
            raise UserError(Problem("--context", f"{asked} tokens", expected))
        return asked


def open_shipped(recipe: Recipe, run: Run, context: int | None = None) -> Llama:
    """The variant `export.ship` names. Raises UserError naming the command that makes it."""
    ship = recipe.export.ship
    if not ship.startswith("gguf-"):
        found = f"`{ship}` does not run on a laptop"
        hint = "set export.ship to one of the GGUF types"
        raise UserError(Problem("export.ship", found, "a gguf-… variant", hint))
    manifest = run.manifest("export")
    if ship not in manifest.outputs:
        found = f"no `{ship}` among what was exported"
        hint = f"run `make export RECIPE={run.recipe}`"
        raise UserError(Problem(str(run.folder("export")), found, f"`{ship}`", hint))
    known = known_of(manifest)
    return Llama(checked(run, "export", ship), lambda made: known.context(context, made), cores())


def open_file(path: Path, context: int | None = None) -> tuple[Llama, Known]:
    """Any GGUF file with a chat template. Raises UserError for another one."""
    plain_file(path, "a GGUF file")
    known = known_of(_made_with(path))
    llama = Llama(path, lambda made: known.context(context, made), cores())
    if llama.metadata("tokenizer.chat_template") is None:
        llama.close()
        found = "it carries no chat template: a base model, or no model of language"
        hint = "`python -m stemma import FILE TO --template …` makes a model of it that has one"
        raise UserError(Problem(str(path), found, "a file to chat with", hint))
    return llama, known


def known_of(export: Manifest | None) -> Known:
    """What an export's manifest says of the training; nothing, where there is none, or an earlier
    Stemma wrote it."""
    facts = export.facts.get("trained_on") if export else None
    if not facts:
        return Known()
    counts = facts["rows"].values()
    talks = any(one["several_questions"] >= TALKING_SHARE * one["rows"] > 0 for one in counts)
    return Known(talks, facts["longest_tokens"])


def _made_with(path: Path) -> Manifest | None:
    """The manifest of the export that made a file, if it lies beside it."""
    folder = path.absolute().parent
    if not (folder / MANIFEST).is_file():
        return None
    try:
        manifest = Run(folder.parent).read_manifest("export") if folder.name == "export" else None
    except UserError:  # another program's, or not as it was
        return None
    made = {output.path for output in manifest.outputs.values()} if manifest else set()
    return manifest if path.name in made else None


def template_of(llama: Llama, foreign: bool = False) -> Template:
    """The chat template the file carries, with the file's own tokens.

    Raises StageFailed when the two do not fit, TemplateFault when it does not render. `foreign`: a
    file that Stemma did not make may write the date of the day, and leave its first token to the
    reader.
    """
    text = llama.metadata("tokenizer.chat_template")
    if text is None:
        raise StageFailed(f"{llama.path.name} carries no chat template")
    where = f"{llama.path.name}: tokenizer.chat_template"
    template = Template(text, llama.token("bos"), llama.token("eos"), where, dated=foreign)
    if foreign:
        return template
    if llama.metadata("tokenizer.ggml.add_bos_token") == "true" and not template.first:
        found = f"its template does not begin with its BOS token {template.bos}"
        raise StageFailed(f"{llama.path.name}: {found}")
    return template
