"""The verb `plan`: costs before anything runs. `stemma.cli` adds it."""

from __future__ import annotations

from dataclasses import replace

from stemma.cli_options import RUNS, Gpus, Name, Runs, Set, Tflops, open_recipe, say
from stemma.visible import tell


def plan(
    recipe: Name,
    tflops: Tflops = None,
    gpus: Gpus = 1,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Forecast rows, steps, tokens, FLOPs, memory, disk and API dollars before anything runs."""
    from stemma.base_model.folder import check_base_model
    from stemma.plan.data_rows import forecast_lines, plan_data
    from stemma.plan.forecast import Hardware
    from stemma.plan.forecast import plan as forecast
    from stemma.plan.judging import plan_judging
    from stemma.plan.room import plan_warnings
    from stemma.plan.text import written
    from stemma.stages import forecast_passages

    opened, run = open_recipe(recipe, set_, runs)
    check_base_model(opened, run, ["plan"])
    passages, database = forecast_passages(opened)
    if opened.is_data_only:
        lines = forecast_lines(opened, run, lambda text: say(f"[plan] {text}"))
        tell("\n".join([*lines, *passages]))
        return
    asked = Hardware(gpus, tflops)
    data = plan_data(opened, run, lambda text: say(f"[plan] {text}"))
    judging = plan_judging(opened, run)
    found = forecast(opened, run, asked, data)
    found = replace(found, judging=judging, passages=passages, database=database)
    tell(written(opened, found, asked), end="")
    for warning in plan_warnings(opened, run, found):
        say(f"warning: {warning}")
