from __future__ import annotations

from typing import Any

import pytest

from data_builders.account import sources_of
from data_builders.flow import ROW_MODELS, CleanRow, Draft, Kind, Placed
from data_builders.outputs.figures import bin_name, figures_of, generated, licences_of
from stemma.generator.jobs import Origin
from stemma.rows import Split
from tests.data_builders.small_recipe import make_recipe


def placed(
    kind: Kind, source: str, split: Split = "train", origin: Origin | None = None, **row: Any
) -> Placed:
    made = ROW_MODELS[kind].model_validate({"id": "r", "source": "s", **row})
    clean = CleanRow(source, kind, "k", Draft("w", "k", {}, "f", origin), made)
    return clean.placed(split, "k", fixed=False)


PAIR = {"question_id": "q", "prompt": "What is it?", "chosen": "a " * 20, "rejected": "no"}
MCQ = {"question": "Which?", "choices": ["one", "two"], "answer": "A", "subject": "logic"}


def test_a_set_is_counted_by_part_source_subject_and_length() -> None:
    rows = [
        placed("dpo", "dpo: x p.jsonl", **PAIR),
        placed("dpo", "dpo: x p.jsonl", split="test", **PAIR, meta={"subject": "physics"}),
        placed("dpo", "dpo: y", **PAIR | {"chosen": "b"}),
    ]
    lost = {
        "dpo: y": {"duplicate": 2, "empty answer": 3},
        "dpo: x p.jsonl": {"duplicate": 2},
        "sft: y": {"other": 9},
    }
    assert figures_of(rows, lost) == {
        "dpo": {
            "parts": {"train": 2, "test": 1},
            "sources": {"x p.jsonl": 2, "y": 1},
            "subjects": {"physics": 1},
            "words": {
                "prompt": {"2 to 4": 3},
                "chosen": {"1": 1, "20 to 49": 2},
                "rejected": {"1": 3},
            },
            "dropped": {"duplicate": 4, "empty answer": 3},
        }
    }


def test_other_kinds_of_rows_have_other_texts() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q?"}]
    rows = [
        placed("corpus", "corpus: c", text="one two"),
        placed("sft", "sft: s", messages=[*turns, {"role": "assistant", "content": "A."}]),
        placed("mcq", "mcq: m", **MCQ),
    ]
    found = figures_of(rows, {})
    assert found["corpus"]["words"] == {"text": {"2 to 4": 1}}
    assert found["sft"]["words"] == {"prompt": {"2 to 4": 1}, "answer": {"1": 1}}
    assert found["mcq"]["words"] == {
        "prompt": {"5 to 9": 1},
        "answer": {"1": 1},
    }  # Which? Options: A. one B. two
    assert found["mcq"]["subjects"] == {"logic": 1}


def test_bins_have_names() -> None:
    assert [bin_name(place) for place in (0, 1, 2, 10)] == ["0", "1", "2 to 4", "1000 or more"]


def test_rows_are_counted_by_licence_and_derived_ones_not_twice() -> None:
    sources = [
        {"source": "gsm8k", "path": "t.jsonl"},
        {"source": "table", "path": "x.csv", "fields": {}},
    ]
    data = make_recipe(
        {"corpus": {"sources": [{"source": "from_sets"}]}, "sft": {"sources": sources[:1]}}
    ).data
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    rows = [
        placed("sft", "sft: gsm8k t.jsonl", messages=turns),
        placed("corpus", "corpus: from_sets", text="Q A"),
    ]
    assert licences_of(sources_of(data), rows) == {"MIT": 1}


@pytest.mark.parametrize(("cost", "each"), [(0.3, 0.15), (None, None)])
def test_a_kept_row_costs_what_all_requests_cost_together(
    cost: float | None, each: float | None
) -> None:
    origin = Origin("m", "2026-11-22", "0" * 64, 3)
    rows = [placed("dpo", "dpo: g", origin=origin, **PAIR)] * 2 + [placed("dpo", "dpo: x", **PAIR)]
    found = generated(rows, {"requests": 9, "cost_usd": cost})
    assert found == {"requests": 9, "cost_usd": cost, "rows_kept": 2, "cost_usd_per_kept_row": each}
