"""A real model as judge: SmolLM2 135M behind llama.cpp's own server, far too weak to judge.

What must hold all the same: every reply has the schema, verdicts are read and counted, attacks are
data, and a judge of no use is told to be so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.judge.run import judge_variants
from eval.judge.verdicts import PairVerdict
from stemma.errors import UserError
from stemma.from_gguf.smollm2 import cache, fetch
from tests.eval.judge.attacks import ATTACKS, attack
from tests.eval.judge.judges import make_work, paid, samples
from tests.factories.served import llama_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        model = fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(f"SmolLM2's file is not here: {error.problems[0].found}")
    log = tmp_path_factory.mktemp("llama") / "log"
    with llama_server(model, log, seconds=120, n_ctx=2048, n_threads=2, seed=1) as url:
        yield url


def test_verdicts_of_a_real_model_on_planted_attacks(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "none-needed")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    kinds = list(ATTACKS)[:9]
    replies = {f"s{i}": (f"{2 * i}", "5. " + attack(kind)) for i, kind in enumerate(kinds)}
    gold = {name: right for name, (right, _) in replies.items()}
    generator = paid(
        base_url,
        structured="object",
        max_tokens=80,
        attempts=1,
        concurrency=1,
        timeout_seconds=300.0,
    )
    work = make_work(tmp_path, replies, generator, questions=len(kinds))
    # Eighteen verdicts: two fewer than the watch over a useless judge goes by.
    found = judge_variants(work, samples(replies, gold))
    lines = [PairVerdict.model_validate(row) for row in found.samples["samples/dpo/judge-base"]]
    assert len(lines) == len(kinds)
    assert all(one.kind == "model" and one.judge for one in lines)
    values = {score.metric: score.value for score in found.scores}
    shares = ("won", "lost", "tied", "disagreed", "invalid")
    assert sum(values[name] for name in shares) == pytest.approx(1)
    # So weak a judge is no good, and its figures say so: it gives no verdict, or contradicts itself
    # or gold.
    print({name: round(value, 3) for name, value in values.items()})
    assert values["invalid"] > 0 or min(values["consistency"], values["gold_agreement"]) < 1
