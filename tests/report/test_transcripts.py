from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eval.judge.verdicts import PairVerdict
from report.judgings import judgings
from report.reported import reported
from report.run import gather
from report.samples import read_samples
from report.transcripts import is_judged, transcript
from stemma.jsonl import write_jsonl
from tests.factories.run_to_report import make_work, score
from tests.factories.samples_to_report import JUDGED_PAIR as PAIR
from tests.factories.samples_to_report import add_samples, finish_again


def test_a_judged_pair_is_known_by_its_shape() -> None:
    assert is_judged(PAIR)
    assert not is_judged({"id": "s1", "reply": "5", "verdict": "right"})


def test_the_pair_of_these_tests_is_one_that_evaluation_writes() -> None:
    assert PairVerdict.model_validate(PAIR).gold_side == "policy"


def test_a_transcript_tells_both_answers_and_every_order() -> None:
    entry = transcript("judge-base · dpo", PAIR)
    assert entry.parts == (("Question", "What is 2 + 3?"),)
    assert (entry.gold, entry.group) == ("5", "dpo won")
    assert [(one.text, one.outcome, one.variants) for one in entry.answers] == [
        ("2 + 3 = 5", "right", {"dpo": "policy"}),
        ("6 </script>", "wrong", {"base": "reference"}),
    ]
    assert entry.after == (
        ("Judge scripted-expert, base first", "dpo is better (verdict 2). Clearer."),
        ("Judge scripted-expert, dpo first", "no verdict: refused"),
    )


def test_equal_answers_were_judged_by_nobody() -> None:
    entry = transcript(
        "judge", PAIR | {"orders": [], "outcome": "tie", "right": None, "gold": None}
    )
    assert (entry.group, entry.gold) == ("tie", "")
    assert "nobody was asked" in entry.after[0][1]
    assert [one.outcome for one in entry.answers] == ["", ""]


def test_judged_pairs_stand_in_the_browser_and_are_no_flips(tmp_path: Path) -> None:
    made = make_work(tmp_path)
    add_samples(made, rows=4)
    name = "samples/dpo/judge-base"
    write_jsonl(made.run.folder("eval") / f"{name}.jsonl", [PAIR, PAIR | {"id": "s2"}])
    finish_again(made.run, "eval", {name: f"{name}.jsonl"})
    book = read_samples(made.recipe, made.run)
    [task] = [one for one in book.tasks if one.task == "judge-base · dpo"]
    assert (task.rows, [entry.id for entry in task.entries]) == (2, ["s1", "s2"])
    assert {one.task for one in book.flips} == {"mcq", "preference", "generation"}


JUDGED = [
    score("dpo", "judge-base", "win_rate_one_order", 0.673, 98, 0.09),
    score("dpo", "judge-base", "win_rate", 0.6, 80, 0.1),
    score("dpo", "judge-base", "win_rate_half_ties", 0.58, 100, 0.09),
    score("dpo", "judge-base", "won", 0.48, 100, 0.1),
    score("dpo", "judge-base", "lost", 0.32, 100, 0.1),
    score("dpo", "judge-base", "longer_wins", 0.9, 80, 0.06),
    score("dpo", "judge-base", "first_wins", 0.55, 196, 0.07),
    score("dpo", "judge-base", "sign_test_p", 0.09, 80),
    score("dpo", "text", "entity_graph", 1.1, 60, 0.2),
    score("dpo", "text", "entity_graph_normalised", 0.4, 60, 0.1),
]


def test_win_rate_and_entity_graph_stand_beside_the_reports(tmp_path: Path) -> None:
    table = reported(gather(make_work(tmp_path, scores=JUDGED)))
    rows = {str(row[0]): dict(zip(table.heads, row, strict=True)) for row in table.rows}
    rate = rows["Win rate"]
    assert (rate["Reference report"], rate["Variant"]) == ("67.3 % / 32.7 %", "dpo (judge-base)")
    assert (rate["This run"], rate["n"]) == ("0.673", 98)
    for words in ("both orders 0.600", "the longer one wins 0.900", "the first one wins 0.550"):
        assert words in str(rate["Controls"])
    graph = rows["Entity graph"]
    assert (graph["Reference report"], graph["This run"]) == ("0.82 → 1.31", "1.100")
    assert "divided by its maximum 0.400" in str(graph["Controls"])


def test_each_judging_has_its_line_with_the_judge(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path, scores=JUDGED))
    facts = {"dpo judge-base": {"judges": ["scripted-expert"], "kind": "scripted"}}
    manifest = evidence.manifests["eval"]
    manifests = evidence.manifests | {
        "eval": manifest.model_copy(update={"facts": manifest.facts | facts})
    }
    table = judgings(replace(evidence, manifests=manifests))
    [row] = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
    assert (row["Policy"], row["Judge"], row["Pairs"]) == ("dpo", "scripted-expert (scripted)", 100)
    assert row["As the report counts"] == "0.673 [0.583–0.763] n = 98"
    assert (row["Tied"], row["Sign test p"]) == (None, pytest.approx(0.09))
    assert "Judge's empty replies" not in row


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_judges_empty_replies_are_shown_where_there_are_any(tmp_path: Path, count: int) -> None:
    empty = score("dpo", "judge-base", "empty_replies", count, 200)
    table = judgings(gather(make_work(tmp_path, scores=[*JUDGED, empty])))
    [row] = [dict(zip(table.heads, row, strict=True)) for row in table.rows]
    assert row.get("Judge's empty replies") == (str(count) if count else None)
