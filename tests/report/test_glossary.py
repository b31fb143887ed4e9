from __future__ import annotations

from pathlib import Path

from report.glossary import glossary
from report.run import gather
from report.tables import columns
from tests.factories.run_to_report import make_work


def test_every_column_of_the_page_has_its_meaning(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    names = [name for name, _ in glossary(evidence)]
    assert len(names) == len(set(names))
    assert {column.title for column in columns(evidence)} <= set(names)
    assert "win rate" not in names, "nothing was judged"
