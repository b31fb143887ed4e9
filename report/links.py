"""Links from the page to the run's files, and the commands that run the shipped one. Pure.

The page lies in `runs/<recipe>/report/`, so `../export/…` is a file of stage `export`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from report.readable import size
from report.run_data import RunData
from stemma.recipe.load import called
from stemma.runs import MANIFEST

FOLDED = ("samples/", "contexts/", "jobs/")
"""Outputs of which there is one for each variant and task: one link to their folder."""


@dataclass(frozen=True)
class Link:
    """A file or folder of the run."""

    name: str
    href: str
    size: str = ""


def stage_links(evidence: RunData) -> dict[str, list[Link]]:
    """The outputs of each stage, its manifest last."""
    found = {}
    for stage, manifest in evidence.manifests.items():
        links: dict[str, Link] = {}
        for output in manifest.outputs.values():
            folder = next((lead for lead in FOLDED if output.path.startswith(lead)), None)
            path = folder or output.path
            links[path] = Link(path, href(stage, path), "" if folder else size(output.bytes))
        found[stage] = [*links.values(), Link(MANIFEST, href(stage, MANIFEST))]
    return found


def own_links(paths: Sequence[str]) -> dict[str, list[Link]]:
    """Files beside the page; those that differ in their ending alone, under one name."""
    found: dict[str, list[Link]] = {}
    for path in paths:
        name, dot, ending = path.rpartition(".")
        found.setdefault(name, []).append(Link(f"{dot}{ending}", quote(path)))
    return found


def shipped_link(evidence: RunData) -> Link:
    """The file that ships."""
    ship = evidence.recipe.export.ship
    output = evidence.manifests["export"].outputs[ship]
    return Link(output.path, href("export", output.path), size(output.bytes))


def href(stage: str, path: str) -> str:
    """The place of a stage's file as seen from the page."""
    return f"../{quote(stage)}/{quote(path)}"


def commands(evidence: RunData) -> list[tuple[str, str]]:
    """What runs the shipped file, and where it is to be typed."""
    recipe = evidence.recipe
    file = shlex.quote(shipped_link(evidence).name)
    name = shlex.quote(called(recipe.path))
    question = 'QUESTION="Which unit measures force?"'
    found = []
    messages = '[{"role": "user", "content": "Which unit measures force?"}]'
    if recipe.export.ship.startswith("gguf-"):
        found += [
            ("Chat in a terminal, in the checkout of Stemma", f"make chat RECIPE={name}"),
            ("One question", f"make chat RECIPE={name} {question}"),
            (
                "llama.cpp alone, beside the file: a page at 127.0.0.1:8080",
                f"llama-server -m {file} --jinja",
            ),
            (
                "Python with llama-cpp-python, beside the file",
                "from llama_cpp import Llama\n"
                f"model = Llama({shipped_link(evidence).name!r}, n_ctx=2048, verbose=False)\n"
                f"reply = model.create_chat_completion({messages}, temperature=0)\n"
                'print(reply["choices"][0]["message"]["content"])',
            ),
        ]
    else:
        found.append(
            (
                "Python with transformers, beside the folder",
                "from transformers import pipeline\n"
                f'write = pipeline("text-generation", {shipped_link(evidence).name!r})\n'
                f'print(write({messages}, do_sample=False)[0]["generated_text"][-1]["content"])',
            )
        )
    return found
