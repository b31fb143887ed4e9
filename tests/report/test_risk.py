from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from report.page import HTML, render
from report.readable import MINUS
from report.risk import RiskCurve, risk_curves
from report.run import gather
from stemma.jsonl import write_jsonl
from tests.factories.run_to_report import make_work
from tests.factories.samples_to_report import finish_again


def test_each_variant_has_its_curve_beside_merged(tmp_path: Path) -> None:
    made = make_work(tmp_path)
    points = [
        {"variant": name, "coverage": coverage / 4, "risk": risk * coverage / 4}
        for name, risk in (("merged", 0.4), ("gguf-Q4_K_M", 0.6))
        for coverage in range(1, 5)
    ]
    odd = {"variant": "merged", "coverage": 0.5, "risk": float("nan")}
    write_jsonl(made.run.folder("eval") / "abstention.jsonl", [*points, odd])
    finish_again(made.run, "eval", {"abstention": "abstention.jsonl"})
    evidence = gather(made)
    curves = risk_curves(evidence)
    assert [curve.variant for curve in curves] == ["merged", "gguf-Q4_K_M"]
    assert list(curves[1].lines) == ["gguf-Q4_K_M", "merged"]
    assert curves[1].lines["merged"][-1] == (1.0, 0.4)
    assert len(curves[0].lines["merged"]) == 4
    asked = [point | {"variant": "gguf-Q4_K_M+gold"} for point in points[4:]]
    section = evidence.recipe.eval.model_copy(
        update={"variants": [*evidence.recipe.eval.variants, "gguf-Q4_K_M+gold"]}
    )
    recipe = evidence.recipe.model_copy(update={"evaluated_by": section})
    *_, arm = risk_curves(replace(evidence, recipe=recipe, abstention=[*points, *asked]))
    assert list(arm.lines) == ["gguf-Q4_K_M+gold", "gguf-Q4_K_M"], "the same weights closed-book"
    root = ElementTree.fromstring(curves[1].svg)
    assert "coverage" in [text.text for text in root.iter("text")]
    page = render(evidence, HTML)
    assert 'id="abstention"' in page
    assert 'id="abstention"' not in render(replace(evidence, abstention=[]), HTML)


def test_a_risk_has_an_axis_from_0_also_where_nothing_is_wrong() -> None:
    drawn = str(RiskCurve("merged", {"merged": [(0.5, 0.0), (1.0, 0.0)]}).svg)
    shown = re.findall(r'class="tick"[^>]*>([^<]+)<', drawn)
    assert MINUS not in "".join(shown)
    assert {"0", "0.1"} <= set(shown)
