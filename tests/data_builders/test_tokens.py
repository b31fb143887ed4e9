"""The preflight and the picture, on real tokenizers of all families' kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_builders.flow import CleanRow, Draft, Placed
from data_builders.tokens import LATER, picture, preflight, refuse_unfit_template
from stemma.base_model.tokenizer import find_tokenizer, load_tokenizer
from stemma.errors import GateFailed, UserError
from stemma.jsonl import read_json, write_json
from stemma.rows import PreferenceRow, Split
from stemma.runs import Run
from stemma.training.rows import Sample
from tests.data_builders.small_recipe import make_dpo_recipe as make_recipe
from tests.factories.families import write_byte_tokenizer
from tests.factories.models import tiny_model

RUN = Run(Path("runs/none"))


def pair(chosen: str, rejected: str, split: Split = "train") -> Placed:
    row = PreferenceRow(
        id="r1", source="s", question_id="q", prompt="1 + 2?", chosen=chosen, rejected=rejected
    )
    clean = CleanRow("dpo: s", "dpo", "k", Draft("w", "k", {}), row)
    return clean.placed(split, "k", fixed=False)


def test_rows_and_tokens_are_counted_per_set_and_part() -> None:
    rows = [
        pair("3", "4"),
        pair("3", "4 " * 30),
        pair("5", "6", "validation"),
        pair("7", "8", "test"),
    ]
    found = preflight(make_recipe(base_model=str(tiny_model())), RUN, rows)
    assert set(found) == {"template", "tokenizer", "dpo/train", "dpo/validation"}
    counts = found["dpo/train"]
    assert (
        counts["rows"],
        counts["left_out_longer_than_sequence_len"],
        counts["sequence_len"],
    ) == (1, 1, 20)
    assert counts["trained_tokens"] == 2 * 3  # of each answer: the blank, the digit, <eos>
    assert found["dpo/validation"]["rows"] == 1


def test_a_row_that_is_not_what_the_template_says_fails_the_build() -> None:
    with pytest.raises(GateFailed, match=r"1 of 2 sequences .* r1: 2 stop tokens in the answer"):
        preflight(make_recipe(base_model=str(tiny_model())), RUN, [pair("3", "4 <eos> 5")])


def test_without_a_tokenizer_it_says_when_the_proof_runs() -> None:
    assert preflight(make_recipe(), RUN, [pair("3", "4")]) == {"said": LATER}


def test_the_tokenizer_is_looked_for_on_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert find_tokenizer(make_recipe(), RUN) is None
    assert find_tokenizer(make_recipe(base_model="../no/such/folder"), RUN) is None
    assert find_tokenizer(make_recipe(base_model=str(tmp_path)), RUN) is None
    assert (
        find_tokenizer(make_recipe(base_model=str(tiny_model())), RUN)
        == tiny_model() / "tokenizer.json"
    )


COMMIT = "0123456789012345678901234567890123456789"


def test_a_tokenizer_in_the_hub_cache_is_used_once_both_of_its_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--nobody--nothing" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    recipe = make_recipe(base_revision=COMMIT)
    shutil.copyfile(tiny_model() / "tokenizer.json", snapshot / "tokenizer.json")
    assert find_tokenizer(recipe, RUN) is None
    assert preflight(recipe, RUN, [pair("3", "4")]) == {"said": LATER}, (
        "nobody knows yet what bos_token stands for"
    )
    shutil.copyfile(tiny_model() / "tokenizer_config.json", snapshot / "tokenizer_config.json")
    assert find_tokenizer(recipe, RUN) == snapshot / "tokenizer.json"
    assert preflight(recipe, RUN, [pair("3", "4")])["dpo/train"]["rows"] == 1
    assert find_tokenizer(make_recipe(base_revision=COMMIT.replace("0", "a")), RUN) is None, (
        "another commit"
    )


@pytest.mark.parametrize(
    ("kind", "template", "tokens", "trained"),
    [
        # Every character is a token here; so is a special token: <S>user\n 1 + 2?<E>\n
        # <S>assistant\n 3<E>
        ("qwen2", "chatml", 6 + 8 + 11 + 2, 2),
        ("smollm2", "chatml", 6 + 8 + 11 + 2, 2),
        # <B> <H>user</H>\n\n 1 + 2?<E> <H>assistant</H>\n\n 3<E>
        ("llama", "llama3", 1 + 8 + 7 + 13 + 2, 2),
        # Question: 1 + 2?\n\nAnswer: 3<E>, with a first token where the model has one
        ("qwen2", "qa", 10 + 6 + 2 + 7 + 3, 3),
        ("llama", "qa", 1 + 10 + 6 + 2 + 7 + 3, 3),
    ],
)
def test_every_kind_of_tokenizer_counts_with_its_own_special_tokens(
    kind: str, template: str, tokens: int, trained: int, tmp_path: Path
) -> None:
    write_byte_tokenizer(tmp_path / kind, kind)
    chosen = {"chat_template": f"templates/{template}.jinja", "train": {"sequence_len": 64}}
    recipe = make_recipe(base_model=str(tmp_path / kind), **chosen)
    refuse_unfit_template(recipe, RUN)
    counts = preflight(recipe, RUN, [pair("3", "4")])["dpo/train"]
    assert (counts["rows"], counts["tokens"], counts["trained_tokens"]) == (
        1,
        2 * tokens,
        2 * trained,
    )


def test_special_tokens_as_objects_or_null(tmp_path: Path) -> None:
    write_byte_tokenizer(tmp_path, "smollm2")
    config = read_json(tmp_path / "tokenizer_config.json")
    named = {
        name: {"__type": "AddedToken", "content": config[name]}
        for name in ("bos_token", "eos_token")
    }
    recipe = make_recipe(base_model=str(tmp_path), train={"sequence_len": 64})
    trained = {}
    for what, more in (("text", {}), ("objects", named), ("null", {"bos_token": None})):
        write_json(tmp_path / "tokenizer_config.json", config | more)
        trained[what] = preflight(recipe, RUN, [pair("3", "4")])["dpo/train"]["tokens"]
    assert trained["text"] == trained["objects"] == trained["null"] + 2, (
        "two sequences, a first token each"
    )


def test_a_template_of_another_family_is_refused_before_any_row_is_built(tmp_path: Path) -> None:
    write_byte_tokenizer(tmp_path, "qwen2")
    recipe = make_recipe(base_model=str(tmp_path), chat_template="templates/gemma.jinja")
    with pytest.raises(
        GateFailed, match=r"'<end_of_turn>' is 13 tokens in this tokenizer, not one special token"
    ):
        refuse_unfit_template(recipe, RUN)


def test_a_tokenizer_that_names_no_last_token(tmp_path: Path) -> None:
    write_byte_tokenizer(tmp_path, "qwen2")
    config = read_json(tmp_path / "tokenizer_config.json")
    write_json(tmp_path / "tokenizer_config.json", config | {"eos_token": None})
    recipe = make_recipe(base_model=str(tmp_path), chat_template="templates/qa.jinja")
    with pytest.raises(GateFailed, match="it writes eos_token, and this tokenizer names none"):
        refuse_unfit_template(recipe, RUN)


def test_a_model_made_on_the_spot_has_its_tokenizer_once_it_is_made(tmp_path: Path) -> None:
    made = {"base_model": None, "base": {"model": {}, "tokenizer": {"vocab_size": 400}}}
    run = Run(tmp_path / "small")
    assert find_tokenizer(make_recipe(**made), run) is None
    path = tmp_path / "small/base/merged/tokenizer.json"
    path.parent.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model() / name, path.with_name(name))
    assert find_tokenizer(make_recipe(**made), run) == path


def test_a_picture_marks_what_is_trained() -> None:
    tokenizer = load_tokenizer(tiny_model() / "tokenizer.json")
    [line] = picture(Sample("a", "<bos>1 +", (" 2<eos>",)), tokenizer)
    assert line == "6 tokens, 3 trained: <bos>|1|▁+ [[ ▁|2|<eos> ]]"


@pytest.mark.parametrize("made", [False, True])
def test_a_first_token_that_only_the_tokenizer_writes_is_refused(
    made: bool, tmp_path: Path
) -> None:
    base = {"base_model": None, "base": {"model": {}, "tokenizer": {"vocab_size": 400}}}
    write_byte_tokenizer(tmp_path, "llama")
    chosen = base if made else {"base_model": str(tmp_path)}
    with pytest.raises(UserError) as caught:
        refuse_unfit_template(make_recipe(chat_template="templates/chatml.jinja", **chosen), RUN)
    first = "<bos>" if made else "<|begin_of_text|>"
    assert str(caught.value) == (
        f"templates/chatml.jinja: it does not begin with `{first}`, "
        "which this model's tokenizer puts before every text\n"
        "  expected: a template that begins with bos_token\n"
        "  hint: begin it with `{{- bos_token -}}`, or take the template of the model's family"
    )
