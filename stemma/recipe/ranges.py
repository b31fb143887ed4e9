"""What Axolotl's keys may be: numbers that a training can have, names that something is called.
Pure.

Axolotl takes most of them, and stops hours later or trains nothing. Its own limits, few as they
are, are pinned with its keys (`axolotl_fields.json`); this table is of what it leaves open, and a
test holds that every number a recipe may set stands in one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stemma.errors import brief, nearest

Bounds = Mapping[str, float]

BILLION = 10**9
"""The most of anything that is counted, where nothing nearer is known: C's integers end at 2^31."""
COUNT = {"ge": 1, "le": BILLION}
COUNT_OR_NONE = {"ge": 0, "le": BILLION}
POSITIVE = {"gt": 0, "le": BILLION}
NOT_NEGATIVE = {"ge": 0, "le": BILLION}
SHARE = {"ge": 0, "le": 1}
PART = {"gt": 0, "le": 1}
MOMENTUM = {"ge": 0, "lt": 1}

_GROUPS: tuple[tuple[Bounds, str], ...] = (
    # Sizes that memory is computed of; no machine holds more.
    ({"ge": 1, "le": 65_536}, "micro_batch_size eval_batch_size lora_r"),
    # A template's words, a question and an answer take more tokens than this by any tokenizer.
    ({"ge": 16, "le": 10_000_000}, "sequence_len eval_sequence_len"),
    ({"ge": 1, "le": 10_000_000}, "max_prompt_len"),
    ({"ge": 1, "le": 1_000_000}, "gradient_accumulation_steps lora_alpha"),
    ({"gt": 0, "le": 100_000}, "num_epochs"),
    # What is too high shows in the loss, which stops the stage: no bound is right for all.
    ({"gt": 0, "le": 1e38}, "learning_rate embedding_lr dion_lr loraplus_lr_embedding"),
    ({"ge": 0, "le": 10}, "weight_decay"),
    # 0: every one is kept, which nobody's disk is planned for.
    ({"ge": 1, "le": 10_000}, "save_total_limit"),
    # Parts of a run below 1, else steps.
    (NOT_NEGATIVE, "save_steps eval_steps"),
    (
        COUNT,
        "chunked_cross_entropy_num_chunks context_parallel_size dataloader_prefetch_factor "
        "ddp_bucket_cap_mb ddp_timeout dion_rank_multiple_of dp_replicate_size dp_shard_size "
        "eaft_k early_stopping_patience eval_max_new_tokens generation_max_new_tokens "
        "jagged_restart_anneal_steps jagged_restart_steps jagged_restart_warmup_steps "
        "lisa_n_layers lisa_step_interval logging_steps loss_watchdog_patience max_steps "
        "num_dataset_shards_to_save num_generation_samples pad_to_multiple_of "
        "pose_max_context_len pose_num_chunks profiler_steps qgalore_gamma_proj "
        "qgalore_proj_bits qgalore_proj_group_size qgalore_queue_size qgalore_rank "
        "qgalore_update_proj_gap ray_num_workers sample_packing_bin_size "
        "sample_packing_group_size sequence_parallel_degree streaming_multipack_buffer_size "
        "pretrain_multipack_buffer_size sync_profiler_steps tensor_parallel_size "
        "tiled_mlp_num_shards torch_empty_cache_steps gpu_memory_limit image_size",
    ),
    (
        COUNT_OR_NONE,  # 0 turns it off, or begins with the first
        "dataloader_num_workers dataset_num_proc dataset_processes eval_table_size "
        "evals_per_epoch fix_untrained_tokens generation_top_k min_sample_len "
        "profiler_steps_start saves_per_epoch sync_profiler_start_step warmup_steps",
    ),
    ({"ge": -1, "le": BILLION}, "gc_steps gc_collect_steps"),  # -1: once an epoch
    ({"ge": 1, "le": 2}, "fsdp_version"),
    ({"ge": 1, "le": 65_535}, "otel_metrics_port"),
    (
        POSITIVE,
        "adam_epsilon adam_epsilon2 dpo_beta embedding_lr_scale kto_desirable_weight "
        "kto_undesirable_weight loraplus_lr_ratio loss_watchdog_threshold qgalore_scale rl_beta "
        "scaling_softmax_factor neftune_noise_alpha",
    ),
    (
        NOT_NEGATIVE,  # a norm of 0: no clipping
        "center_rewards_coefficient cpo_alpha eaft_alpha generation_temperature max_grad_norm "
        "orpo_alpha simpo_gamma",
    ),
    (SHARE, "cosine_constant_lr_ratio cosine_min_lr_ratio dpo_ld_alpha generation_prompt_ratio"),
    (SHARE, "qgalore_cos_threshold warmup_ratio"),
    (PART, "dion_rank_fraction generation_top_p sample_packing_eff_est"),
    (MOMENTUM, "adam_beta1 adam_beta2 adam_beta3 dion_momentum lora_dropout"),
    ({"ge": 0, "lt": 0.5}, "dpo_label_smoothing"),  # at 0.5 TRL's robust loss divides by 0
    ({"ge": -BILLION, "le": BILLION}, "scaling_softmax_bias"),
)
RANGES: dict[str, Bounds] = {key: bounds for bounds, keys in _GROUPS for key in keys.split()}
"""What a number must be, by key."""

ITEMS: dict[str, Bounds] = {
    "dpo_loss_weights": NOT_NEGATIVE,
    "peft_layers_to_transform": {"ge": 0, "le": 10_000},
    "lora_rank_pattern": RANGES["lora_r"],
    "lora_alpha_pattern": RANGES["lora_alpha"],
}
"""Likewise of lists' items and mappings' values."""

LOSSES = (
    "aot",
    "aot_unpaired",
    "apo_down",
    "apo_zero",
    "bco_pair",
    "discopop",
    "exo_pair",
    "hinge",
    "ipo",
    "nca_pair",
    "robust",
    "sft",
    "sigmoid",
    "sigmoid_norm",
    "sppo_hard",
)
"""TRL's DPO losses, the items of `dpo_loss_type`."""

EITHER = (
    ("saves_per_epoch", "save_steps"),
    ("evals_per_epoch", "eval_steps"),
    ("warmup_steps", "warmup_ratio"),
    ("lr_groups", "loraplus_lr_ratio"),
    ("max_memory", "gpu_memory_limit"),
    ("fsdp_config", "deepspeed"),
    ("relora", "deepspeed"),
    ("ple_cpu_offload", "deepspeed"),
)
"""Keys that Axolotl refuses together; where one is Stemma's default, it is the second."""
STEPWISE = {"save_strategy": "save_steps", "eval_strategy": "eval_steps"}
"""Strategies other than `steps`, which go without a number of steps."""

WORDS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
KEEPS = {
    "ge": lambda value, limit: value >= limit,
    "gt": lambda value, limit: value > limit,
    "le": lambda value, limit: value <= limit,
    "lt": lambda value, limit: value < limit,
}


def in_words(bounds: Bounds) -> str:
    """`at least 1 and at most 65,536`."""
    return " and ".join(WORDS[step].format(f"{limit:,}") for step, limit in bounds.items())


def expected_of(key: str, value: Any, pinned: Bounds | None = None) -> str:
    """The range an Axolotl key must keep to, where a number of its type is not; else nothing.

    `pinned` are Axolotl's own bounds of the key.
    """
    bounds = {**RANGES.get(key, {}), **(pinned or {})}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _item_expected(key, value)
    if not all(KEEPS[step](value, limit) for step, limit in bounds.items()):
        return in_words(bounds)
    if key in STEPWISE.values() and value > 1 and value != int(value):
        return "a whole number of steps, or a part of the run below 1"
    return ""


def _item_expected(key: str, value: Any) -> str:
    """What the items of a list must be, where one is not."""
    listed = [*value.values()] if isinstance(value, dict) else value
    if not isinstance(listed, list):
        return ""
    if key == "dpo_loss_type":
        unknown = [one for one in listed if one not in LOSSES]
        return f"some of {', '.join(LOSSES)}" if unknown else ""
    bounds = ITEMS.get(key)
    if bounds is None:
        return ""
    numbers = [one for one in listed if isinstance(one, int | float) and type(one) is not bool]
    fits = all(KEEPS[step](one, limit) for one in numbers for step, limit in bounds.items())
    return "" if fits and len(numbers) == len(listed) else f"numbers {in_words(bounds)}"


def name_hint(value: Any, names: list[Any]) -> str:
    """A hint `did you mean …?` for a wrong name."""
    return nearest(value, [str(name) for name in names]) if isinstance(value, str) else ""


def either_problems(keys: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, found, hint) of settings of one stage that Axolotl refuses together, or that would
    leave no checkpoint."""
    for first, second in EITHER:
        if keys.get(first) and keys.get(second):
            found = f"`{first}` and `{second}` together, of which Axolotl takes one"
            yield first, found, f"delete `{first}`, or set `{second}: null`"
    for strategy, steps in STEPWISE.items():
        if keys.get(strategy) not in (None, "steps") and keys.get(steps):
            found = f"`{strategy}: {brief(keys[strategy])}` with `{steps}: {brief(keys[steps])}`"
            yield strategy, found, f"set `{steps}: null`, or `{strategy}: steps`"
    if keys.get("save_strategy") in ("no", False):
        found = "`save_strategy: no`: no checkpoint is ever written, so whatever stops it loses all"
        yield "save_strategy", found, "delete it: two checkpoints are kept (`save_total_limit`)"
