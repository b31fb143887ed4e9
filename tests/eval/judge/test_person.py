"""A person's judging: blind, resumable, in the form of a model's; the page over real HTTP."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from eval.judge.page import PageServer
from eval.judge.person import JOURNAL, BlindPair, Sitting, judged_pairs, read_journal
from eval.judge.sit import summary
from eval.judge.verdicts import PairVerdict
from stemma.errors import UserError
from stemma.jsonl import write_jsonl
from stemma.runs import Run
from tests.eval.judge.judges import pair_verdict
from tests.eval.judge.sittings import serving
from tests.factories.manifests import write_manifest

WON = ("2", "2")


def judged(count: int) -> list[PairVerdict]:
    return [
        pair_verdict(f"s{i}", WON, question=f"q{i}", reference=f"bad {i}", policy=f"good {i}")
        for i in range(count)
    ]


def better(pair: BlindPair) -> str:
    return "1" if pair.answers[0].startswith("good") else "2"


def go_through(sitting: Sitting, most: int = 1000) -> list[BlindPair]:
    seen = []
    while len(seen) < most and (pair := sitting.next()):
        seen.append(pair)
        sitting.record(pair.key, better(pair))
    return seen


def test_order_and_sides_are_drawn_and_nothing_tells_who_wrote_what(tmp_path: Path) -> None:
    pairs = judged(40)
    seen = go_through(Sitting(pairs, tmp_path / JOURNAL, "anna", 42))
    assert sorted(pair.question for pair in seen) == sorted(one.question for one in pairs)
    assert [pair.question for pair in seen] != [one.question for one in pairs]
    firsts = [pair.answers[0].startswith("good") for pair in seen]
    assert 10 < sum(firsts) < 30
    other = go_through(Sitting(pairs, tmp_path / JOURNAL, "ben", 42))
    assert [pair.question for pair in other] != [pair.question for pair in seen]


def test_verdicts_have_the_form_of_a_models(tmp_path: Path) -> None:
    go_through(Sitting(judged(6), tmp_path / JOURNAL, "anna", 42))
    given = read_journal(tmp_path / JOURNAL)
    assert {(one.judge, one.kind, one.outcome) for one in given} == {("anna", "person", "policy")}
    assert {len(one.orders) for one in given} == {1}
    assert {one.orders[0].verdict for one in given} == {"2"}, "whichever was shown first"
    assert {one.orders[0].first for one in given} == {"reference", "policy"}


def test_it_can_be_left_killed_and_resumed(tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    first = go_through(Sitting(judged(10), journal, "anna", 42), most=4)
    with journal.open("ab") as stream:
        stream.write(b'{"id": "s9", "policy": "dp')  # the power went
    again = Sitting(judged(10), journal, "anna", 42)
    assert len(again.given) == 4
    rest = go_through(again)
    assert (rest[0].judged, rest[0].total, len(rest)) == (4, 10, 6)
    assert not {pair.key for pair in first} & {pair.key for pair in rest}
    assert len(read_journal(journal)) == 10
    assert Sitting(judged(10), journal, "ben", 42).given == [], "everybody has a sitting of his own"
    assert len(Sitting(judged(12), journal, "anna", 42).given) == 10, "more pairs only add"


def test_a_second_verdict_on_a_pair_and_one_on_no_pair_count_nothing(tmp_path: Path) -> None:
    sitting = Sitting(judged(2), tmp_path / JOURNAL, "anna", 42)
    pair = sitting.next()
    assert pair is not None
    sitting.record(pair.key, "3")
    sitting.record(pair.key, "1")
    assert [one.outcome for one in read_journal(tmp_path / JOURNAL)] == ["tie"]
    for key, said in ((pair.key, "4"), ("x", "1")):
        with pytest.raises(ValueError, match="no such pair or verdict"):
            sitting.record(key, said)


def test_a_damaged_journal_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"id": 1}\n')
    with pytest.raises(UserError) as caught:
        read_journal(tmp_path / JOURNAL)
    assert caught.value.problems[0].where == f"{tmp_path / JOURNAL}:1"


def test_pairs_come_from_the_evaluation_once_each_without_equal_answers(tmp_path: Path) -> None:
    run = Run(tmp_path / "small")
    same = pair_verdict("s9", (), question="q9", reference="4", policy="4")
    rows = [one.model_dump(mode="json") for one in [*judged(3), same]]
    for name in ("judge-base", "judge-again"):
        write_jsonl(run.folder("eval") / f"samples/dpo/{name}.jsonl", rows)
    write_jsonl(run.folder("eval") / "samples/dpo/mcq.jsonl", [{"id": "m"}])
    names = [f"samples/dpo/{name}" for name in ("judge-base", "judge-again", "mcq")]
    facts = {"dpo judge-base": {}, "dpo judge-again": {}, "dpo": {"mcq": {}}}
    write_manifest(run, "eval", {name: f"{name}.jsonl" for name in names}, facts=facts)
    assert [one.id for one in judged_pairs(run)] == ["s0", "s1", "s2"]
    write_manifest(run, "eval", {names[2]: f"{names[2]}.jsonl"}, facts={})
    with pytest.raises(UserError, match="no judged pair"):
        judged_pairs(run)


def test_the_summary_tells_agreement_and_ratings(tmp_path: Path) -> None:
    models = judged(8)
    sitting = Sitting(models, tmp_path / JOURNAL, "anna", 42)
    go_through(sitting, most=5)
    lines = summary(models, sitting.given, 42)
    assert lines[0] == "anna and m: kappa not defined, agreed 100%, n = 5"
    assert lines[1].split()[:2] == ["variant", "rating"]
    assert [line.split()[0] for line in lines[-2:]] == ["dpo", "base"]
    assert lines[-1].split()[-1] == "13"


def ask(
    server: PageServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    """The status and the reply's JSON, or its text."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.request(method, path, json.dumps(body) if body is not None else None, named)
    reply = connection.getresponse()
    text = reply.read().decode()
    is_json = reply.headers["Content-Type"] == "application/json"
    connection.close()
    return reply.status, json.loads(text) if is_json else text


def test_the_page_over_http(tmp_path: Path) -> None:
    with serving(Sitting(judged(2), tmp_path / JOURNAL, "anna", 42)) as server:
        status, page = ask(server, "GET", "/")
        assert (status, "Which answer is better?" in page) == (200, True)
        assert "dpo" not in page
        _, pair = ask(server, "GET", "/pair")
        assert set(pair) == {"key", "question", "answer_1", "answer_2", "judged", "total"}
        status, second = ask(server, "POST", "/verdict", {"key": pair["key"], "verdict": "1"})
        assert (status, second["judged"], second["key"] != pair["key"]) == (200, 1, True)
        status, last = ask(server, "POST", "/verdict", {"key": second["key"], "verdict": "3"})
        assert (status, "All pairs are judged" in last["done"]) == (200, True)
    assert len(read_journal(tmp_path / JOURNAL)) == 2


def test_what_does_not_come_from_the_page_is_refused(tmp_path: Path) -> None:
    with serving(Sitting(judged(2), tmp_path / JOURNAL, "anna", 42)) as server:
        _, pair = ask(server, "GET", "/pair")
        verdict = {"key": pair["key"], "verdict": "1"}
        assert ask(server, "GET", "/pair", Host="evil.example")[0] == 403
        assert ask(server, "POST", "/verdict", verdict, Host="evil.example:80")[0] == 403
        form = "application/x-www-form-urlencoded"
        assert ask(server, "POST", "/verdict", verdict, Content_Type=form)[0] == 400
        assert ask(server, "POST", "/verdict", [1])[0] == 400
        assert ask(server, "POST", "/verdict", {"key": "x" * 9000, "verdict": "1"})[0] == 400
        assert ask(server, "POST", "/elsewhere", verdict)[0] == 400
        assert ask(server, "GET", "/../../etc/passwd")[0] == 404
    assert not (tmp_path / JOURNAL).exists()
