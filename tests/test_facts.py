"""The facts of a training are read as they were written, or not at all."""

from __future__ import annotations

from stemma.facts import PeakMemory, Trainable, TrainingFacts, training_facts
from stemma.runs import Manifest

FACTS = TrainingFacts(
    start="a new adapter on its start",
    trainable=Trainable(trainable_parameters=2048, parameters=102_400, share=0.02),
    computed_in="bfloat16",
    peak_memory=PeakMemory(bytes=900_000_000, of="resident memory"),
    steps=5,
    processes=2,
    rows_a_step=8,
    trainer={},
    plugins=["stemma.plugin.StemmaPlugin"],
    deepspeed="not asked for",
)


def manifest(facts: dict[str, object]) -> Manifest:
    return Manifest(
        stage="sft",
        recipe="small",
        key="k",
        section={},
        overrides=[],
        inputs={},
        outputs={},
        counts={},
        facts=facts,
        seed=1,
        git_commit="c",
        versions={},
        hardware={},
        start="",
        end="",
    )


def test_facts_are_read_beside_the_gates() -> None:
    recorded = FACTS.model_dump(mode="json") | {"gates": [], "adapter": {"lora_pairs": 6}}
    assert training_facts(manifest(recorded)) == FACTS


def test_facts_of_an_earlier_stemma_are_not_guessed() -> None:
    recorded = FACTS.model_dump(mode="json")
    del recorded["computed_in"]
    assert training_facts(manifest(recorded)) is None
    assert training_facts(manifest({})) is None
