"""What is foreseeable of a training, by hand."""

from __future__ import annotations

from stemma.training.pitfalls import count_steps, training_warnings

KEYS = {
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "num_epochs": 3,
    "sequence_len": 64,
}


def told(counts: dict[str, int], processes: int = 1, **keys: object) -> list[str]:
    return list(training_warnings("sft", KEYS | keys, counts, processes))


def test_steps_as_the_trainer_counts_them() -> None:
    assert count_steps(100, KEYS, 1) == 39, "25 batches, 13 updates, the last of one batch"
    assert count_steps(100, KEYS, 2) == 21, "13 batches a GPU, 7 updates"
    assert count_steps(1, KEYS | {"num_epochs": 0.5}, 8) == 1


def test_steps_that_end_within_the_warm_up() -> None:
    assert told({"rows": 100}, warmup_steps=38) == []
    assert told({"rows": 100}, warmup_steps=39) == [
        "sft: 39 steps in all, and `warmup_steps: 39`: its learning rate is still rising when it "
        "ends; hint: `warmup_ratio: 0.03` fits any length"
    ]
    [warning] = told({"rows": 100}, 2, warmup_steps=38)
    assert warning.startswith("sft: 21 steps in all"), "two processes take fewer"
    assert told({"rows": 100}, warmup_steps=38, max_steps=10) == [], "told of the recipe alone"


def test_fewer_rows_than_one_step_takes() -> None:
    assert told({"rows": 8}) == []
    assert told({"rows": 7}) == [
        "sft: 7 rows are fewer than the 8 of one step, so every epoch is one step; hint: make "
        "`micro_batch_size` or `gradient_accumulation_steps` smaller"
    ]
    assert told({"rows": 0}) == [], "told as no row at all"
    packed = {"rows": 100, "tokens": 7 * 64}
    assert told(packed, sample_packing=True) == [
        "sft: 7 packed sequences are fewer than the 8 of one step, and Axolotl may drop a step "
        "that is not full; hint: make `micro_batch_size` or `gradient_accumulation_steps` smaller"
    ]
    assert told(packed | {"tokens": 8 * 64}, sample_packing=True) == []
    assert told({"rows": 7}, sample_packing=True) == [], "their tokens are not known yet"


def test_rows_that_are_too_long() -> None:
    assert told({"rows": 91, "left_out_longer_than_sequence_len": 9}) == []
    assert told({"rows": 90, "left_out_longer_than_sequence_len": 10}) == [
        "sft: 10 of 100 rows are longer than `sequence_len: 64` and are left out; hint: raise it, "
        "as far as the model's positions go"
    ]
