"""A base model's files on this machine: tokenizer, template and shapes. Nothing is fetched."""

from __future__ import annotations

from pathlib import Path

from stemma.errors import Problem, UserError
from stemma.jsonl import read_json, read_object
from stemma.plain_files import plain_file
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.shapes import GEMMA, PUBLISHED, Shapes, parse
from stemma.templates import Template

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"


def tokenizer_folder(recipe: Recipe, run: Run) -> Path | None:
    """The folder that holds both files of the base model's tokenizer: its tokens, and the names of
    the special ones.

    None where one is missing: without the second nobody knows what `bos_token` in a template stands
    for.
    """
    folder = run.folder("base") / "merged" if recipe.base else recipe.base_folder or _cached(recipe)
    if folder is None:
        return None
    is_whole = all((folder / name).is_file() for name in (TOKENIZER, TOKENIZER_CONFIG))
    return folder if is_whole else None


def template_of(recipe: Recipe, run: Run) -> Template:
    """The recipe's template, filled with the base model's own special tokens.

    A model made on the spot has Gemma's, before it is made too. Where the model is not on this
    machine, the tokens' names stand in their places.
    """
    if recipe.base:
        return Template.read(recipe.template)
    folder = tokenizer_folder(recipe, run)
    return Template.read(recipe.template, folder) if folder else Template.unfilled(recipe.template)


def added_first(recipe: Recipe, template: Template, adds: bool) -> str:
    """The token that the tokenizer itself puts in front of every text; empty unless it `adds` one.

    Raises UserError where the template does not begin with that token: TRL and llama.cpp would put
    it there, and the other half of training would not.
    """
    if adds and not template.first:
        found = (
            f"it does not begin with `{template.bos}`, which this model's tokenizer puts before "
            "every text"
        )
        expected = "a template that begins with bos_token"
        hint = "begin it with `{{- bos_token -}}`, or take the template of the model's family"
        raise UserError(Problem(recipe.chat_template, found, expected, hint))
    return template.first if adds else ""


def lacks_padding(folder: Path) -> bool:
    """Whether the tokenizer names no padding token. Llama's names none; Axolotl asks for one."""
    return not read_json(folder / TOKENIZER_CONFIG).get("pad_token")


def cached_file(name: str, file: str, revision: str | None) -> Path | None:
    """A model's file in the hub's cache, or None. Nothing is fetched."""
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:  # a laptop has no such cache
        return None
    try:
        found = try_to_load_from_cache(name, file, revision=revision)
    except HFValidationError:  # a folder that is not there
        return None
    return Path(found) if isinstance(found, str) else None


def _cached(recipe: Recipe) -> Path | None:
    """The snapshot's folder in the hub cache."""
    found = cached_file(str(recipe.base_model), TOKENIZER, recipe.base_revision)
    return found.parent if found else None


def read_shapes(recipe: Recipe, run: Run) -> Shapes:
    """The shapes of the recipe's base model, from the nearest place that knows them.

    Raises UserError if none does.
    """
    if recipe.base is not None:
        made = run.folder("base") / "merged" / "config.json"
        if made.is_file():
            return parse(read_json(made), str(made))
        asked = GEMMA | {"vocab_size": recipe.base.tokenizer.vocab_size} | recipe.base.model
        return parse(asked, "the recipe's base.model")
    name = str(recipe.base_model)
    path = cached_file(name, "config.json", recipe.base_revision)
    if Path(name).is_dir():
        path = Path(name) / "config.json"
    if path is not None:
        plain_file(path, "the config.json of a model's folder")
        return parse(read_object(path), str(path))
    if name in PUBLISHED:
        return parse(PUBLISHED[name], "published shapes")
    found = f"base_model `{name}`: its shapes are not known on this machine"
    expected = f"a folder, a model in the hub cache, or one of {', '.join(PUBLISHED)}"
    hint = (
        f"`hf download {name} config.json` fetches them, as `--set base_model=FOLDER` with its "
        "config.json does"
    )
    raise UserError(Problem(recipe.path.name, found, expected, hint))
