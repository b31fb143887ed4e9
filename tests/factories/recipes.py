"""Parts of recipes that several tests put into the small one of `tests/conftest.py`."""

from __future__ import annotations

MADE = """\
base:
  model: {hidden_size: 32}
  tokenizer: {vocab_size: 400}
  learning_rate: 1e-3
"""
"""The small recipe's base model, made on the spot: what a test replaces by another."""

LORA = """\
train:
  adapter: lora
  lora_r: 4
  lora_alpha: 8
  lora_target_modules: [q_proj, v_proj]
  sequence_len: 64
  micro_batch_size: 4
  optimizer: adamw_torch
  lr_scheduler: linear
  num_epochs: 1
  save_steps: 2
  logging_steps: 1
  bf16: false
  fp16: false
"""
"""Settings of a training that really runs, in a minute on a CPU."""
