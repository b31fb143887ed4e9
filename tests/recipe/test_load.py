"""The recipe border: what is read, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.chain import chain
from stemma.errors import UserError
from stemma.recipe.load import load, names

Write = Callable[..., Path]


def refused(name: str = "small", *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load(name, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_valid_recipe_is_read_with_yaml_1_2_numbers(write_recipe: Write) -> None:
    path = write_recipe()
    recipe = load("small")
    assert recipe.axolotl("dpo")["learning_rate"] == 0.0005  # PyYAML would read 5e-4 as text
    assert recipe.path == path
    assert load(path) == recipe
    assert names() == ["small"]


def test_unknown_key_is_named_with_file_line_and_the_nearest(write_recipe: Write) -> None:
    write_recipe(("  ship:", "  shipp: gguf-F16\n  ship:"))
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:24: unknown key `shipp` in export\n"
        "  expected: one of: bitsandbytes, from,"
    )
    assert problem.endswith("\n  hint: did you mean `ship`?")


def test_an_unknown_key_of_columns_is_told_with_the_files_columns(
    write_recipe: Write, tmp_path: Path
) -> None:
    (tmp_path / "quiz.csv").write_text("Frage;A;B;Richtig\nWas?;x;y;a\n", encoding="cp1252")
    source = "{source: gsm8k, path: train.jsonl}"
    table = '{source: table, path: quiz.csv, delimiter: ";", encoding: cp1252, columns: {Frage: x}}'
    write_recipe((source, table))
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:16: unknown key `Frage` in data.sft.sources.0.columns\n"
        "  expected: one of: answer, choices, chosen, explanation, "
    )
    assert problem.endswith(
        "\n  hint: a key says what a column is; the file has Frage, A, B, Richtig"
    )
    (tmp_path / "quiz.csv").unlink()
    assert "hint" not in refused()[0]


def test_the_fields_the_loader_fills_are_no_keys(write_recipe: Write) -> None:
    write_recipe(("name: small", "name: small\npath: elsewhere"))
    [problem] = refused()
    assert problem.startswith("recipes/small.yml:2: unknown key `path` in the recipe")


def test_an_axolotl_key_at_the_top_is_sent_to_its_section(write_recipe: Write) -> None:
    write_recipe(("name: small", "name: small\nmicro_batch_size: 4"))
    [problem] = refused()
    assert (
        "`micro_batch_size` is an Axolotl key: it belongs into `train`, `base`, `sft`, `dpo` "
        "or `mcq`" in problem
    )


def test_duplicate_keys_are_all_found(write_recipe: Write) -> None:
    write_recipe(
        ("  lora_r: 8", "  lora_r: 8\n  lora_r: 16"), ("  ship:", "  ship: gguf-F16\n  ship:")
    )
    assert refused() == [
        "recipes/small.yml:10: duplicate key `train.lora_r`, first given at recipes/small.yml:9\n"
        "  expected: each key once\n  hint: delete one of the two",
        "recipes/small.yml:26: duplicate key `export.ship`, first given at recipes/small.yml:25\n"
        "  expected: each key once\n  hint: delete one of the two",
    ]


def test_all_problems_come_at_once_in_the_order_of_the_file(write_recipe: Write) -> None:
    write_recipe(
        ("vocab_size: 400", "vocab_size: many"),
        (
            "sft: {start_from: base, learning_rate: 2e-4}",
            "sft: {start_from: base, lerning_rate: 2e-4}",
        ),
        ("task: preference", "task: preferences"),
        ("path: train.jsonl", "pth: train.jsonl"),
        ("  gguf: {types: [F16, Q4_K_M]}\n", ""),
    )
    assert [problem.split("\n")[0] for problem in refused()] == [
        "recipes/small.yml:5: `base.tokenizer.vocab_size` is 'many'",
        "recipes/small.yml:11: unknown key `lerning_rate` in sft",
        "recipes/small.yml:16: missing key `data.sft.sources.0.path`",
        "recipes/small.yml:16: unknown key `pth` in data.sft.sources.0",
        "recipes/small.yml:21: missing key `export.gguf`",
        "recipes/small.yml:27: `eval.tasks.0.task` is 'preferences'",
    ]


def test_wrong_type_says_what_was_expected(write_recipe: Write) -> None:
    write_recipe(("vocab_size: 400", "vocab_size: '300'"))
    assert refused() == [
        "recipes/small.yml:5: `base.tokenizer.vocab_size` is '300'\n  expected: a valid integer"
    ]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{task: preference, prompt_tokens: 9}",
            "unknown key `prompt_tokens` in eval.tasks.0\n  expected: one of: limit, task",
        ),
        (
            "{task: speed, promt_tokens: 9}",
            "unknown key `promt_tokens` in eval.tasks.0\n  expected: one of: limit, "
            "max_new_tokens, prompt_tokens, task\n  hint: did you mean `prompt_tokens`?",
        ),
        ("{limit: 9}", "missing key `eval.tasks.0.task`"),
        (
            "preference",
            "`eval.tasks.0` is 'preference'\n  expected: a section, with keys of its own",
        ),
        (
            "{task: preference, limit: 0}",
            "`eval.tasks.0.limit` is 0\n  expected: greater than 0",
        ),
        (
            "{task: sped}",
            "`eval.tasks.0.task` is 'sped'\n  expected: one of: mcq, preference, generation, "
            "divergence, speed\n  hint: did you mean `speed`?",
        ),
    ],
)
def test_each_evaluation_task_has_its_own_keys(
    write_recipe: Write, entry: str, expected: str
) -> None:
    write_recipe(("{task: preference}", entry))
    assert refused() == [f"recipes/small.yml:28: {expected}"]


def test_a_sources_own_options_have_a_did_you_mean(write_recipe: Write) -> None:
    old = "{source: gsm8k, path: train.jsonl}"
    write_recipe((old, "{source: table, path: t.jsonl, colums: {question: q, answer: a}}"))
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:16: unknown key `colums` in data.sft.sources.0\n  expected: one of: an"
    )
    assert problem.endswith("hint: did you mean `columns`?")
    write_recipe((old, "{source: table, path: t.jsonl, columns: {mesages: q}}"))
    assert refused()[0].endswith("system, text\n  hint: did you mean `messages`?")
    write_recipe(
        (old, "{source: table, path: t.jsonl, columns: {question: {instruction}, answer: a}}")
    )
    assert refused() == [
        "recipes/small.yml:16: `data.sft.sources.0.columns.question` is {'instruction': None}\n"
        '  expected: a valid string\n  hint: braces begin a mapping in YAML: write "{instruction}"'
    ]


def test_a_key_that_a_choice_of_types_does_not_know(write_recipe: Write) -> None:
    write_recipe(
        ("dpo: {start_from: sft,", "dpo: {start_from: sft, trainer: {chunked_logp: true},")
    )
    assert any("chunked_logp" in problem for problem in refused())


def test_unknown_source_lists_the_known(write_recipe: Write) -> None:
    write_recipe(("source: gsm8k", "source: gsm9k"))
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:16: `data.sft.sources.0`: unknown source 'gsm9k'; known: "
    )


def test_source_in_the_wrong_set_is_found_at_its_line(write_recipe: Write) -> None:
    write_recipe(
        ("{source: gsm8k, path: train.jsonl}", "{source: preference_jsonl, path: train.jsonl}")
    )
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:16: `data.sft.sources[0]`: source `preference_jsonl` cannot make "
        "sft rows"
    )


def test_missing_start_from_target(write_recipe: Write) -> None:
    write_recipe(
        ("sft: {start_from: base, learning_rate: 2e-4}\n", ""),
        ("[base, sft, dpo, gguf-Q4_K_M]", "[base]"),
    )
    assert refused() == [
        "recipes/small.yml:11: dpo.start_from: `sft`, but this recipe has no `sft` stage "
        "before `dpo`"
    ]


DATA_ONLY = "name: small\ndata:\n  sft:\n    sources:\n    - {source: gsm8k, path: train.jsonl}\n"


def test_a_recipe_of_data_alone_is_whole(write_recipe: Write) -> None:
    write_recipe(text=DATA_ONLY)
    recipe = load("small")
    assert recipe.is_data_only
    assert chain(recipe) == ["data"]
    for section in ("export", "eval"):
        with pytest.raises(UserError, match=f"builds data only\n  expected: a section `{section}`"):
            getattr(recipe, section)
    write_recipe(text=DATA_ONLY + "base_model: some/model\n")
    assert refused()[0].startswith(
        "recipes/small.yml:1: chat_template: missing key `chat_template`; only a recipe of"
    )


def test_a_recipe_that_trains_or_exports_needs_its_other_sections(write_recipe: Write) -> None:
    write_recipe(
        text=DATA_ONLY + "base_model: some/model\nsft: {start_from: base}\ntrain: {adapter: lora}\n"
    )
    missing = (
        "missing key `export` (and eval, chat_template); only a recipe of data alone needs none"
    )
    assert f"recipes/small.yml:1: export: {missing}" in refused()


def test_variants_that_no_stage_makes(write_recipe: Write) -> None:
    write_recipe(("[base, sft, dpo, gguf-Q4_K_M]", "[base, bnb-nf4]"))
    assert refused() == [
        "recipes/small.yml:26: eval.variants: unknown bnb-nf4; "
        "this recipe makes base, sft, dpo, merged, gguf-F16, gguf-Q4_K_M"
    ]
    write_recipe(("ship: gguf-Q4_K_M", "ship: gguf-Q8_0"))
    assert refused() == [
        "recipes/small.yml:24: export.ship: `gguf-Q8_0` is none of merged, gguf-F16, gguf-Q4_K_M"
    ]


def test_unknown_recipe_names_the_nearest(write_recipe: Write) -> None:
    write_recipe()
    [problem] = refused("smal")
    assert (
        problem == "recipes/smal.yml: unknown recipe `smal`\n  expected: one of: small\n"
        "  hint: did you mean `small`?"
    )
    assert "unknown recipe `recipes/smal.yml`" in refused("recipes/smal.yml")[0]


def test_the_name_must_be_the_files(write_recipe: Write) -> None:
    write_recipe(name="other")
    assert refused("other")[0].startswith(
        "recipes/other.yml:1: `name: small` in the file other.yml\n  expected: `name: other`"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "recipes/small.yml:1: not valid YAML"),
        ("- a\n- b", "recipes/small.yml:1: no mapping of keys"),
        ("", "recipes/small.yml:1: no mapping of keys"),
        (
            "name: small\ntrain: &t {lora_r: 8}\nsft: *t",
            "recipes/small.yml:3: `sft` is a YAML alias",
        ),
        ("a: " + "[" * 500, "recipes/small.yml: lists and mappings more than 20 deep"),
        ("a: " + "[" * 30 + "]" * 30, "recipes/small.yml:1: lists and mappings more than 20 deep"),
        ("- " * 5000, "recipes/small.yml: lists and mappings more than 20 deep"),
        (
            "name: !!python/object/apply:os.system [ls]",
            "recipes/small.yml:1: `name` is a YAML python/object/apply:os.system",
        ),
        ("name: small\nseed: !!binary aGk=", "recipes/small.yml:2: `seed` is a YAML binary"),
        ("name: small\nseed: 2024-01-01", "recipes/small.yml:2: `seed` is a YAML timestamp"),
        ("a: &a [1]\nb: *a", "recipes/small.yml:2: `b` is a YAML alias"),
        ("<<: {a: 1}", "recipes/small.yml:1: a key that is a YAML merge, in the recipe"),
        ("a: {~: 1}", "recipes/small.yml:1: a key that is a YAML null, in a"),
        ("? [a]\n: 1", "recipes/small.yml:1: a key that is a YAML seq, in the recipe"),
        ('"\\e[31m": 1', "recipes/small.yml:1: a key with the character U+001B, in the recipe"),
        ("k" * 201 + ": 1", "recipes/small.yml:1: a key of 201 characters, in the recipe"),
        ("seed: 0x" + "f" * 5000, "recipes/small.yml:1: `seed` is a number of 5,002 digits"),
        ("seed: " + "9" * 5000, "recipes/small.yml:1: `seed` is a number of 5,000 digits"),
        ("seed: 0x" + "f" * 16, "recipes/small.yml:1: `seed` is a number of 64 bits"),
        ('a: "\\ud800"', "recipes/small.yml:1: `a` holds the character U+D800"),
        ('a: "\\u202e"', "recipes/small.yml:1: `a` holds the character U+202E"),
        ('a: ["\\0"]', "recipes/small.yml:1: `a.0` holds the character U+0000"),
        ("a: " + "x" * 20_001, "recipes/small.yml:1: `a` is a text of 20,001 characters"),
        ("a: 1\n" * 5_001, "recipes/small.yml: more than 5,000 lines or values"),
        ("a: [" + "1," * 5_001 + "]", "recipes/small.yml: more than 5,000 lines or values"),
        ("#" * 10**7, "recipes/small.yml: longer than 100,000 bytes"),
        ("a:\n\t- 1", "recipes/small.yml:2: not valid YAML"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_no_recipe_at_all(write_recipe: Write, text: str, expected: str) -> None:
    write_recipe(text=text)
    [problem] = refused()
    assert problem.startswith(expected)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_a_recipe_is_utf_8(write_recipe: Write, encoding: str) -> None:
    path = write_recipe()
    path.write_text("# é\n" + path.read_text(encoding="utf-8"), encoding=encoding)
    [problem] = refused()
    assert problem.startswith("recipes/small.yml: not valid UTF-8: ")


def test_a_byte_order_mark_is_passed_over(write_recipe: Write) -> None:
    path = write_recipe()
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load("small").name == "small"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=0x" + "f" * 5000, "`seed` is a number of 5,002 digits"),
        ("train={a: &a [1], b: *a}", "`train.b` is a YAML alias"),
        ('licence="\\udc80"', "`licence` holds the character U+DC80"),
        ("licence=\udc80", "special characters are not allowed"),
        ("base.model=" + "[" * 300 + "]" * 300, "lists and mappings more than 20 deep"),
        ("a." * 30 + "b=1", "not a setting"),
        ("a\x1b=1", "not a setting"),
        ("a={b: 1, b: 2}", "duplicate key `a.b`"),
    ],
    ids=lambda value: value[:20],
)
def test_overrides_are_held_to_the_same_bounds(
    write_recipe: Write, override: str, expected: str
) -> None:
    write_recipe()
    found = refused("small", override)
    [problem] = [one for one in found if expected in one]
    place = problem.partition(": ")[0]
    assert place.startswith("--set ")
    assert problem.isprintable() or problem.replace("\n", "").isprintable()
    assert len(problem) < 500


def test_only_a_recipe_of_the_same_folder_is_extended(write_recipe: Write) -> None:
    folder = write_recipe().parent
    outside = folder.parent / "outside.yml"
    outside.write_text("name: outside\n", encoding="utf-8")
    (folder / "link.yml").symlink_to(outside)
    (folder / "itself.yml").symlink_to(folder / "child.yml")
    for name in ("../outside", str(outside.with_suffix("")), "./small", "x/../small", "child"):
        write_recipe(name="child", text=f"extends: {name}\nname: child\n")
        [problem] = refused("child")
        assert problem.startswith(
            f"recipes/child.yml:1: unknown recipe `{name}`\n  expected: another recipe of the same"
        )
    write_recipe(name="child", text="extends: itself\n")
    assert "unknown recipe `itself`" in refused("child")[0]
    write_recipe(name="child", text="extends: link\n")
    assert refused("child") == [
        "recipes/child.yml:1: `link` is a link that leads out of the recipe's folder\n"
        "  expected: a recipe in the same folder"
    ]


def test_extends_merges_by_key_replaces_lists_and_removes_by_null(write_recipe: Write) -> None:
    write_recipe()
    child = (
        "extends: small\nname: child\nsft: null\ndpo: {start_from: base}\n"
        "eval: {variants: [base, dpo]}\n"
    )
    path = write_recipe(name="child", text=child)
    recipe = load("child")
    assert (recipe.name, recipe.path) == ("child", path)
    assert recipe.sft is None
    assert recipe.stage("dpo").start_from == "base"
    assert recipe.stage("dpo").axolotl == {"rl": "dpo", "learning_rate": 0.0005}
    assert recipe.eval.variants == ["base", "dpo"]


def test_lines_of_an_extended_recipe_are_of_the_file_where_the_key_stands(
    write_recipe: Write,
) -> None:
    write_recipe(("vocab_size: 400", "vocab_size: many"))
    write_recipe(name="child", text="extends: small\nname: child\ndpo:\n  micro_batch_sise: 4\n")
    assert [problem.split("\n")[0] for problem in refused("child")] == [
        "recipes/child.yml:4: unknown key `micro_batch_sise` in dpo",
        "recipes/small.yml:5: `base.tokenizer.vocab_size` is 'many'",
    ]


def test_a_misspelt_section_set_to_null_is_not_swallowed(write_recipe: Write) -> None:
    write_recipe()
    write_recipe(name="child", text="extends: small\nname: child\nsfft: null\n")
    assert refused("child")[0].startswith("recipes/child.yml:3: unknown key `sfft` in the recipe")


def test_extends_is_one_level_and_of_the_same_folder(write_recipe: Write) -> None:
    write_recipe()
    write_recipe(name="child", text="extends: small\nname: child\n")
    write_recipe(name="third", text="extends: child\nname: third\n")
    write_recipe(name="lost", text="name: lost\nextends: smal\n")
    assert refused("third")[0].startswith("recipes/third.yml:1: `child` itself extends `small`")
    assert refused("lost")[0].startswith("recipes/lost.yml:2: unknown recipe `smal`")
    assert refused("lost")[0].endswith("hint: did you mean `small`?")


def test_overrides_are_yaml_and_recorded(write_recipe: Write) -> None:
    write_recipe()
    settings = [
        "dpo.learning_rate=1e-4",
        "eval.tasks.0.limit=5",
        "data.root=../data",
        "eval.variants=[base]",
    ]
    recipe = load("small", settings)
    assert recipe.axolotl("dpo")["learning_rate"] == 0.0001
    assert recipe.eval.tasks[0].limit == 5
    assert recipe.eval.variants == ["base"]
    assert recipe.data.root == "../data"
    assert recipe.overrides == settings


def test_null_override_removes(write_recipe: Write) -> None:
    write_recipe()
    assert "lora_r" not in load("small", ["train.lora_r=null"]).train


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("dpo.lerning_rate=1", "--set dpo.lerning_rate=1: unknown key `lerning_rate` in dpo"),
        ("dop.learning_rate=1", "--set dop.learning_rate=1: unknown key `dop` in the recipe"),
        ("name.first=1", "--set name.first=1: `name` holds no key `first`"),
        ("eval.tasks.7.limit=1", "--set eval.tasks.7.limit=1: `eval.tasks.7` holds no key `limit`"),
        ("dpo.learning_rate", "--set dpo.learning_rate: not a setting"),
        ("dpo.lerning_rate=null", "--set dpo.lerning_rate=null: unknown key `lerning_rate` in dpo"),
        ("seed=2024-99-99", "--set seed=2024-99-99: `seed` is a YAML timestamp"),
        ("eval.beta=[1", "--set eval.beta=[1: not valid YAML: expected"),
        ("eval.beta=much", "--set eval.beta=much: `eval.beta` is 'much'"),
    ],
)
def test_wrong_overrides_are_named_as_they_were_given(
    write_recipe: Write, override: str, expected: str
) -> None:
    write_recipe()
    assert refused("small", override)[0].startswith(expected)


def test_misspelt_override_gets_a_did_you_mean(write_recipe: Write) -> None:
    write_recipe()
    assert refused("small", "dpo.lerning_rate=1")[0].endswith("hint: did you mean `learning_rate`?")
    assert refused("small", "evl.beta=1")[0].endswith("hint: did you mean `eval`?")
