"""Keys of Axolotl that do nothing, or not what they say: everywhere, or under `rl: dpo`.

Each was read in Axolotl's source.
"""

from __future__ import annotations

REFUSED = {
    "diffusion_lm": "gates, scores and GGUF files are of models that predict the next token",
    "mixlora_": "a mixture of adapters cannot be merged into its base, so nothing could ship it",
    **dict.fromkeys(
        ("reward_model", "process_reward_model", "num_labels"),
        "gates, scores and GGUF files are of models that predict the next token",
    ),
    "gradio_": "only Axolotl's own chat page reads it; `stemma chat` talks to the shipped model",
    "overrides_of_model_config": (
        "`base.model` says what a model made on the spot is; another's config.json stays as it is"
    ),
}
"""Beginnings of Axolotl keys that lead away from what Stemma can prove and ship."""

GONE = {
    "fsdp": "Axolotl no longer knows it; several GPUs train under `deepspeed`",
    "evaluation_strategy": "Axolotl drops it with a line in its log; `eval_strategy` works",
    "noisy_embedding_alpha": "Axolotl drops it with a line in its log; `neftune_noise_alpha` works",
    **dict.fromkeys(
        ("lr_div_factor", "preprocess_iterable", "heads_k_stride", "ring_attn_func"),
        "Axolotl reads it nowhere",
    ),
    **dict.fromkeys(
        (
            "dpo_generate_during_eval",
            "dpo_norm_loss",
            "dpo_use_logits_to_keep",
            "flash_attn_rms_norm",
            "max_packed_sequence_len",
            "s2_attention",
        ),
        "Axolotl knows it only to refuse it",
    ),
    "rpo_alpha": (
        "Axolotl knows it only to refuse it; `dpo_loss_type: [sigmoid, sft]` with "
        "`dpo_loss_weights` works"
    ),
}
"""Keys that are left over in Axolotl's list, or were until lately."""

ONLY_SFTS_TRAINER = (
    "auto_find_batch_size",
    "balance_labels",
    "batch_flattening",
    "bench_dataset",
    "curriculum_sampling",
    "dataloader_drop_last",
    "ddp_broadcast_buffers",
    "ddp_bucket_cap_mb",
    "do_bench_eval",
    "do_causal_lm_eval",
    "eaft_alpha",
    "eaft_k",
    "early_stopping_patience",
    "eval_sequence_len",
    "generate_samples",
    "greater_is_better",
    "jagged_restart_anneal_steps",
    "jagged_restart_steps",
    "jagged_restart_warmup_steps",
    "label_balance_window_optim_steps",
    "lisa_layers_attribute",
    "lisa_n_layers",
    "lisa_step_interval",
    "load_best_model_at_end",
    "loss_watchdog_threshold",
    "lr_quadratic_warmup",
    "metric_for_best_model",
    "neftune_noise_alpha",
    "relora",
    "relora_cpu_offload",
    "relora_prune_method",
    "relora_prune_ratio",
    "use_dft",
    "use_eaft",
)
"""Handed on by `core/builders/causal.py` alone (`eval_sequence_len`: by `utils/data/sft.py`).
`curriculum_sampling` also keeps merged files from being shuffled, but without that builder's
sampler every epoch shuffles them."""

LIES_UNDER_DPO = {
    "lora_model_dir": (
        "Axolotl ignores it under `rl: dpo` and trains a fresh adapter on the base model"
    ),
    "dpo_padding_free": "Axolotl ignores it under `rl: dpo`",
    "group_by_length": "Axolotl ignores it under `rl: dpo` (`dpo.trainer.group_by_length` works)",
    "precompute_ref_batch_size": "Axolotl drops it silently",
    "pad_to_multiple_of": "it breaks `rl: dpo`: the preference collator has no `input_ids` to pad",
    "sample_packing": "Axolotl rejects it under `rl: dpo`",
    "liger_cross_entropy": "there is no cross-entropy in this loss, so nothing is replaced",
    "liger_fused_linear_cross_entropy": (
        "there is no cross-entropy in this loss, so nothing is fused"
    ),
    "rl_adapter_ref_model": "Axolotl no longer knows it and drops it silently",
    **dict.fromkeys(ONLY_SFTS_TRAINER, "only SFT's trainer heeds it"),
}
"""Keys that do nothing under `rl: dpo`, or break it late."""

SMOOTHED = {"robust", "exo_pair", "aot", "aot_unpaired"}
"""TRL's losses that heed `dpo_label_smoothing`; its default, `sigmoid`, passes over it."""

NEEDS_STOCK = {
    "dpo_use_liger_kernel": "`chunked_logps` gives the same with less",
    "precompute_ref_log_probs": "`dpo.trainer.precompute_reference` does this",
    "trainer_cls": "Stemma's trainer takes its place",
}
"""Axolotl keys that only its own DPO trainer heeds."""
