"""Served variants' part of the eval stage: whether they can be measured, and what is not."""

from __future__ import annotations

from typing import Any

from eval.cells import template_of
from stemma.errors import StageFailed, UserError
from stemma.recipe.eval_arms import split_arm
from stemma.recipe.evaluation import EvalSection
from stemma.stages import Work


def check_servers(work: Work) -> None:
    """Ask every server of the recipe's variants a few short questions, before hours of measuring.

    Raises UserError or StageFailed with what is wrong with all of them.
    """
    section = work.recipe.eval
    named = dict.fromkeys(split_arm(name)[0] for name in section.variants)
    served = [name for name in named if name in section.servers]
    if not served:
        return
    from eval.servers.ready import check  # loads the network client

    problems, failures = [], []
    template = template_of(work)
    for name in served:
        try:
            check(name, section.servers[name], section.tasks_of(name), template)
        except UserError as error:
            problems += error.problems
        except StageFailed as error:
            failures.append(str(error))
    if problems:
        raise UserError(problems)
    if failures:
        raise StageFailed("\n".join(failures))


def server_facts(section: EvalSection) -> dict[str, Any]:
    """For the manifest: what is known of each served variant, and what was not measured on it."""
    found = {}
    for name in dict.fromkeys(split_arm(name)[0] for name in section.variants):
        if name not in section.servers:
            continue
        server = section.servers[name]
        asked = [options.task for options in section.tasks_of(name)]
        left_out: list[str] = [one.task for one in section.tasks if one.task not in asked]
        if section.benchmarks:
            left_out.append("benchmarks")
        found[name] = {
            "model": server.model,
            "base_url": server.base_url,
            "tasks": asked,
            "not measured": left_out,
            "token ids": "the server's own: not compared with the other variants'",
        }
    return {"servers": found} if found else {}
