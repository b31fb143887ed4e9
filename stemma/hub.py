"""What the Hugging Face hub refuses, and what helps: gated, private, misspelt, out of reach."""

from __future__ import annotations

from stemma.base_model.files import tokenizer_folder
from stemma.credentials import gated_hint, hub_words
from stemma.errors import Problem, UserError
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run


def hub_problem(where: str, key: str, name: str, error: Exception) -> Problem:
    """A model that `key` of a recipe names and that could not be fetched."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    words = hub_words(error).splitlines()
    expected = "a folder with config.json, or the name of a model on the hub"
    hint = "check the spelling and the network"
    if isinstance(error, GatedRepoError):
        said = f" ({words[-1]})" if len(words) > 1 else ""
        found = f"{key} `{name}` is gated: only accounts that accepted its licence get it{said}"
        return Problem(where, found, "a token of an account that may read it", gated_hint(name))
    found = f"{key} `{name}`: {words[0]}"
    if isinstance(error, RepositoryNotFoundError):
        found = f"{key} `{name}`: the hub has no such model, or it is private ({words[0]})"
        hint = "check the spelling; a private model needs `.venv/bin/hf auth login` first"
    return Problem(where, found, expected, hint)


def refuse_gated(recipe: Recipe, run: Run) -> None:
    """Raise UserError where the hub will not give the base model: before hours of other work.

    Asks nothing where all is trained or the model lies on this machine. Without a network nothing
    is said here.
    """
    if recipe.base_model is None or recipe.is_base_local:
        return
    folder = tokenizer_folder(recipe, run)
    stages = recipe.training_stages()
    is_trained = all((run.folder(stage) / MANIFEST).is_file() for stage in stages)
    if is_trained or (folder and any(folder.glob("*.safetensors"))):
        return
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        HfApi().auth_check(recipe.base_model)
    except RepositoryNotFoundError as error:  # a gated one's derives from it
        where = recipe.path.name
        raise UserError(hub_problem(where, "base_model", recipe.base_model, error)) from None
    except Exception:  # a network fails in many ways; whoever fetches tells them
        return
