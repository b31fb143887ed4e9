"""The merged folder: right weights, the base's own tokenizer, the recipe's template, all stop tokens."""

from __future__ import annotations

import json
from pathlib import Path

from stemma import gates
from stemma.merge import copy_tokenizer, merge_adapter
from stemma.templates import Template
from tests.adapters import make_adapter
from tests.models import TEMPLATE, make_gemma, tiny_model

TEXTS = [[2, 120, 130, 140, 150], [2, 200, 210]]


def test_merged_folder_is_whole(tmp_path: Path) -> None:
    start, merged = tiny_model(), tmp_path / "merged"
    adapter = make_adapter(start, tmp_path / "adapter")
    merge_adapter(start, adapter, merged, Template.read(TEMPLATE))
    figures = gates.merge_gate(start, adapter, merged, TEXTS)
    assert figures["merge"]["positions"] == 8
    assert figures["merge"]["max_difference"] < 1e-4 < figures["adapter_effect"]["max_difference"]
    for name in ("tokenizer.model", "tokenizer.json"):
        assert (merged / name).read_bytes() == (start / name).read_bytes()
    assert (merged / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE.read_text(encoding="utf-8")
    assert json.loads((merged / "generation_config.json").read_text())["eos_token_id"] == [1, 107]
    assert [path.name for path in tmp_path.glob(".*")] == [], "nothing half-written stays"


def test_stop_token_of_the_template_joins_the_eos_ids(tmp_path: Path) -> None:
    start = make_gemma(tmp_path / "start", hidden=32, layers=1)
    (start / "generation_config.json").write_text('{"eos_token_id": 1, "bos_token_id": 2}')
    turns = Template("{{ bos_token }}{% for m in messages %}{{ m.content }}<end_of_turn>{% endfor %}")
    merge_adapter(start, make_adapter(start, tmp_path / "adapter"), tmp_path / "merged", turns)
    assert json.loads((tmp_path / "merged" / "generation_config.json").read_text())["eos_token_id"] == [1, 107]


def test_tokenizer_config_gets_back_what_transformers_drops(tmp_path: Path) -> None:
    source = make_gemma(tmp_path / "start", hidden=32, layers=1)
    config = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(
        json.dumps({k: v for k, v in config.items() if k != "added_tokens_decoder"} | {"vocab_file": "/home/me/x"})
    )
    target = tmp_path / "target"
    target.mkdir()
    copy_tokenizer(source, target, Template.read(TEMPLATE))
    written = json.loads((target / "tokenizer_config.json").read_text())
    assert written["added_tokens_decoder"]["107"]["content"] == "<end_of_turn>"
    assert "vocab_file" not in written
