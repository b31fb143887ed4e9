"""Stage `rag`: a database of passages out of the recipe's sources."""

from __future__ import annotations

from stemma.errors import StageFailed
from stemma.stages import Result, Work


def run(work: Work) -> Result:
    """Build the database in the stage's folder."""
    raise StageFailed(f"{work.stage}: its writer is not there yet")
