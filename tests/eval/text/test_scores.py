from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from eval.text.scores import TextSetting, describe, references, score_texts
from eval.text.tagger import LightTagger
from stemma.jsonl import write_jsonl

SETTING = TextSetting(LightTagger(), k=3, seed=1)


def replies(*texts: str) -> list[dict[str, object]]:
    return [{"id": str(at), "reply": text} for at, text in enumerate(texts)]


def test_a_text_by_hand() -> None:
    found = describe(
        "**The force** is great. The mass is big.\n\nThe mass feels the force. `x`", SETTING
    )
    assert found["nouns"] == [["force"], ["mass"], ["force", "mass"]]
    assert (found["words"], found["sentences"]) == (13, 3)
    assert found["entity_graph"] == pytest.approx((1 / 2 + 1) / 3)
    assert found["entity_graph_normalised"] == pytest.approx(0.5 / (5 / 6))
    assert found["entity_graph_first_k"] == found["entity_graph"]
    assert found["distinct_2"] == 10 / 12, "the force, and the mass, twice"
    assert found["repeated_sentences"] == 0.0


@pytest.mark.parametrize("text", ["", "\n", "```\ncode = 1", "$$x", "...", "\u202e\x00"])
def test_a_reply_without_prose_has_no_values_and_no_crash(text: str) -> None:
    found = describe(text, SETTING)
    assert (found["words"], found["sentences"], found["nouns"]) == (0, 0, [])
    assert {found[name] for name in ("entity_graph", "distinct_2", "repeated_sentences")} == {None}


def test_scores_by_hand() -> None:
    wanted = {"0": "The force is big.", "1": "It is a cell."}
    found = score_texts(
        {"merged": replies("The force is big.", ""), "dpo": replies("A cell. A cell.", "Why?")},
        wanted,
        SETTING,
    )
    by_name = {(score.variant, score.metric): score for score in found.scores}
    assert {score.task for score in found.scores} == {"text"}
    assert by_name["merged", "words"].value == 2.0
    assert by_name["merged", "entity_graph"].n == 1, "an empty reply has no sentence"
    assert ("merged", "entity_graph_first_k") not in by_name, "no reply has three sentences"
    assert ("merged", "bleu_minus_merged") not in by_name
    assert by_name["dpo", "repeated_sentences"].value == 0.25
    assert by_name["dpo", "entity_graph_normalised"].value == 1.0
    difference = by_name["dpo", "chrf"].value - by_name["merged", "chrf"].value
    assert by_name["dpo", "chrf_minus_merged"].value == pytest.approx(difference)
    assert by_name["dpo", "words"].samples == "samples/dpo/text.jsonl"
    assert [row["id"] for row in found.samples["samples/dpo/text"]] == ["0", "1"]
    assert found.samples["samples/merged/text"][0]["chrf"] == pytest.approx(100)


def test_the_facts_say_what_measured_and_what_the_reference_texts_reach() -> None:
    found = score_texts({"sft": replies("a", "b")}, {"0": "One. Two.", "1": "Three."}, SETTING)
    facts = found.facts["text"]
    assert facts["tagger"].startswith("light ")
    assert facts["sentences"].startswith("nupunkt ")
    assert facts["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert "|nw:2|" in facts["chrf"]
    assert (facts["k"], facts["reference_texts"]["sentences"]) == (3, 1.5)


def test_every_language_and_alphabet_is_scored() -> None:
    texts = [
        "القوة هي الكتلة. نص.",
        "Сила равна массе.",
        "力は質量です。",
        "שלום עולם.",
        "🙂🙂",
        "a" * 5000,
    ]
    found = score_texts(
        {"sft": replies(*texts)}, {str(at): text for at, text in enumerate(texts)}, SETTING
    )
    assert {score.metric: score.value for score in found.scores}["chrf"] == pytest.approx(100)


def test_references_are_the_rows_own_answers(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "Because.\n\nAnswer: 4"},
    ]
    write_jsonl(tmp_path / "t.jsonl", [{"id": "1", "source": "t", "messages": messages}])
    assert references(tmp_path / "t.jsonl") == {"1": "Because.\n\nAnswer: 4"}


def test_hundreds_of_replies_of_two_variants_take_seconds() -> None:
    text = "The force acts on the mass. It moves with an acceleration, as Newton said. " * 4
    many = replies(*(f"{text} Answer: {at}" for at in range(400)))
    wanted = {str(at): text for at in range(400)}
    begin = process_time()
    score_texts({"merged": many, "dpo": many}, wanted, SETTING)
    assert process_time() - begin < 20, "measured: 1.5 ms a text"
