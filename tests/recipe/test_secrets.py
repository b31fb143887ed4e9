"""Secrets are told by name, shape and place, and never shown; innocent keys and values pass."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stemma import ROOT
from stemma.errors import UserError
from stemma.recipe.axolotl_keys import axolotl_fields
from stemma.recipe.load import load
from stemma.recipe.secrets import (
    is_secret_name,
    is_variable,
    names_secret,
    secrets_in,
    shapes_in,
    without_secrets,
)

Write = Callable[..., Path]

# Put together here, so that no scanner takes this file for a leak.
RANDOM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"
JWT = f"eyJ{RANDOM[:20]}.eyJ{RANDOM}.{RANDOM}"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}\n-----END RSA PRIVATE KEY-----"
KEYS = {
    "openai": f"sk-{RANDOM}",
    "openai, of a project": f"sk-proj-{RANDOM[:9]}_{RANDOM}",
    "openai, with words": "sk-very-secret-0123456789",
    "anthropic": f"sk-ant-api03-{RANDOM}",
    "hugging face": f"hf_{RANDOM}",
    "github": f"ghp_{RANDOM}",
    "github, fine-grained": f"github_pat_11{RANDOM[:8].upper()}_{RANDOM}",
    "gitlab": f"glpat-{RANDOM[:20]}",
    "aws": "AKIA" + "IOSFODNN7EXAMPLE",
    "google": f"AIza{RANDOM}",
    "slack": f"xoxb-123456789012-{RANDOM}",
    "groq": f"gsk_{RANDOM}",
    "jwt": JWT,
    "pem": PEM,
    "bearer": f"Bearer {RANDOM}",
    "basic": "Basic " + base64.b64encode(b"me:hunter2hunter2").decode(),
    "userinfo": "https://me:hunter2hunter2@host/v1",
    "userinfo without a password": f"https://{RANDOM}@host/v1",
    "userinfo of a database": "postgresql://me:hunter2hunter2@host/db",
    "userinfo in what a path makes of an address": "https:/me:hunter2hunter2@host/v1",
    "userinfo without a scheme": "//me:hunter2hunter2@host/v1",
    "query": "https://host/v1?key=hunter2hunter2",
    "query, second": "https://host/v1?a=b&api_key=hunter2hunter2",
    "query, signed": "https://host/file?X-Amz-Signature=hunter2hunter2",
    "fragment": "https://host/#access_token=hunter2hunter2",
    "hugging face, of an organisation": f"api_org_{RANDOM}",
    "fireworks": f"fw_{RANDOM[:24]}",
    "pinecone": f"pcsk_ab_c_{RANDOM}",
    "elevenlabs": f"sk_{RANDOM}",
    "google, new": f"AQ.Ab{RANDOM}",
    "langsmith": f"lsv2_pt_{RANDOM[:32]}_{RANDOM[:10]}",
    "langfuse": "pk-lf-12345678-1234-1234-1234-123456789012",
    "tavily": f"tvly-dev-{RANDOM}",
    "databricks": "dapi" + "0123456789abcdef" * 2,
    "sendgrid": f"SG.{RANDOM[:22]}.{RANDOM}",
    "vault": f"hvs.{RANDOM[:24]}",
    "digital ocean": "dop_v1_" + "0123456789abcdef" * 4,
    "pgp": PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
    "given to a variable": f"export OPENAI_API_KEY={RANDOM}",
    "given to a header": f"x-api-key: {RANDOM}",
    "authorization of another kind": f'"Authorization": "token {RANDOM}"',
    "given in a connection": f"AccountName=a;AccountKey={RANDOM}==;",
}
WORDS = "hunter2hunter2"
SECRET = (
    "api_key apikey apiKey API-KEY X-API-Key openai_api_key wandb_api_key comet_api_key token "
    "AccountKey bot_token sas-token encryption_key jwt "
    "hf_token hfToken access_token auth_token hub_token github_token password passwd passphrase "
    "db_password secret client_secret secret_key access_key aws_secret_access_key private_key "
    "authorization Authorization proxy-authorization credentials cookie bearer"
)
HARMLESS = (
    "tokens max_tokens max_completion_tokens tokenizer tokenizer_config special_tokens pad_token "
    "eos_token bos_token unk_token image_token api_key_env key keys token_count num_tokens "
    "secretary author authority passage passages compassion monkey total_num_tokens "
    "include_tokens_per_second eot_tokens cookies_eaten base_url"
)
NAMES, INNOCENT_NAMES = SECRET.split(), HARMLESS.split()
INNOCENT = (
    "sk-wiki-20240101",
    "sk-SNK-treebank-2023-final-version",
    "sk-news-7b-v2-2024",
    "https://example.org/rows?sort_key=title&page_token=CAoQAA",
    "sk-SK",
    "data/sk-wikipedia-20240101-clean.jsonl",
    "task-based-learning-2024-and-so-on",
    "hf_use_auth_token",
    "hf_hub",
    "ghp_",
    "AKIA",
    "basic understanding of energy",
    "Basic Mathematics",
    "the bearer of bad news",
    "Bearer certificates are paper",
    "https://api.openai.com/v1",
    "https://e.org/@me/page?id=3&page_token_count=4",
    "http://127.0.0.1:8000/v1",
    "google/gemma-2b",
    "c8c1a6b0a2b7f7e9d2b7b36b9b45d3bd0d1a9a5f",
    "Qwen/Qwen2.5-0.5B-Instruct",
    "What is 3:4@5 // 6?",
    "<|im_start|>",
    "me@example.org",
    "api_key_env: MY_OPENAI_KEY_FOR_2024_AND_LATER",
    "token = loop.index0_of_all_messages2",
    "pad_token: reserved_special_token_250",
    "train-file: train-fec9cf2af2bafec9cf2af2ba.jsonl",
    "jina_embeddings_v3_small_en",
    "sk_learn_pipeline_2024",
    "dapible-1234567890abcdefg",
    "git@github.com:a/b.git",
)


def secrets(value: Any) -> list[str]:
    return [one.text for one in secrets_in(value)]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("around", ["{}", "say {} to all", "[{}]", "\n{}\n"])
def test_key_shapes_are_found_anywhere(kind: str, around: str) -> None:
    key = KEYS[kind]
    text = around.format(key)
    if kind == "openai, with words" or around == "[{}]":
        text = key if kind == "openai, with words" else text
    found = list(secrets_in({"a": [{"b": text}]}))
    assert found
    assert {one.keys for one in found} == {("a", "0", "b")}
    hidden = without_secrets(text)
    assert "(hidden)" in hidden
    assert not any(part in hidden for part in (RANDOM, WORDS))
    assert secrets({key: 1}), "as a key, too"
    assert key not in repr(found), "not even a traceback shows it"


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)
    assert secrets({"a": {name: "x"}}) == ["x"]
    assert secrets({"a": {name: ["x", {"y": "z"}]}}) == ["x", "z"]
    assert secrets({name: 12345}) == ["12345"]
    assert secrets({name: b"x"}) == ["x"]
    assert secrets({name: None}) == secrets({name: True}) == secrets({name: 0.5}) == []


@pytest.mark.parametrize("name", INNOCENT_NAMES)
def test_innocent_names_pass(name: str) -> None:
    assert not is_secret_name(name)
    value = "MY_KEY" if name == "api_key_env" else "plain text"
    assert secrets({name: value}) == []


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_values_pass(text: str) -> None:
    assert secrets({"a": text, text: 1}) == []
    assert without_secrets(text) == text


def properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


def test_no_key_of_the_schema_is_refused_but_those_that_hold_keys() -> None:
    schema = json.loads((ROOT / "recipes/schema.json").read_text(encoding="utf-8"))
    names = {*properties(schema), *axolotl_fields()}
    assert len(names) > 600
    assert {name for name in names if is_secret_name(name)} == {
        "comet_api_key",
        "hf_use_auth_token",  # true and false pass
    }
    texts = json.dumps(schema)
    assert list(shapes_in(texts)) == []


def test_random_words_of_the_schema_are_no_secrets() -> None:
    schema = json.loads((ROOT / "recipes/schema.json").read_text(encoding="utf-8"))
    words = sorted({*properties(schema), *axolotl_fields()} - {"comet_api_key", "api_key_env"})
    rng = random.Random(15)
    for _ in range(800):
        chosen = rng.choices(words, k=rng.randint(1, 4))
        commit = f"{rng.getrandbits(160):040x}"
        text = rng.choice(["/", "-", "_", " ", ": ", "."]).join(chosen)
        assert secrets({"a": {"b": [text, commit, f"{text}@{commit}"]}}) == [], text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes").rglob("*.*")), ids=lambda path: str(path.name)
)
def test_every_shipped_file_is_accepted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert list(shapes_in(text)) == []
    if path.suffix == ".yml":
        assert list(secrets_in(YAML(typ="safe", pure=True).load(text))) == []


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_KEY_2", "judge_key", "VLLM", "A1_B2"])
def test_names_of_variables_pass(name: str) -> None:
    assert is_variable(name)


@pytest.mark.parametrize(
    "value",
    [
        *KEYS.values(),
        RANDOM,
        "d41d8cd98f00b204e9800998ecf8427e",
        "MY KEY",
        "",
        "1KEY",
        7,
        ["A"],
        {},
    ],
)
def test_a_pasted_key_is_no_variable(value: Any) -> None:
    assert not is_variable(value)


GENERATOR = "data:\n  generator: {{model: m, {}}}\n"


def refused(write_recipe: Write, *settings: str, **given: str) -> UserError:
    write_recipe(*[("data:\n", GENERATOR.format(one)) for one in settings])
    with pytest.raises(UserError) as caught:
        load("small", [f"{key.replace('__', '.')}={value}" for key, value in given.items()])
    return caught.value


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_in_a_recipe_is_refused_by_its_place(write_recipe: Write, kind: str) -> None:
    key = KEYS[kind]
    error = refused(write_recipe, f"parameters: {{user: {json.dumps(key)}}}")
    [problem] = error.problems
    assert problem.where == "recipes/small.yml:14"
    assert problem.found.startswith("`data.generator.parameters.user` holds a")
    assert problem.found.endswith("is not shown: recipes are copied into outputs")
    assert problem.expected == "no secret in a recipe"
    assert problem.hint.startswith("keep it in an environment variable")
    assert not any(part in str(error) for part in (key, RANDOM, WORDS))


@pytest.mark.parametrize("name", [*NAMES, "headers: {authorization", "extra: [{apiKey"])
def test_a_secret_by_its_name_is_refused_by_its_place(write_recipe: Write, name: str) -> None:
    closing = {"headers: {authorization": "}", "extra: [{apiKey": "}]"}.get(name, "")
    error = refused(write_recipe, f"parameters: {{{name}: {WORDS}{closing}}}")
    [problem] = error.problems
    assert problem.where == "recipes/small.yml:14"
    assert "holds a secret by its name, which is not shown" in problem.found
    assert WORDS not in str(error)


def test_a_secret_name_outside_the_parameters_is_told_too(write_recipe: Write) -> None:
    error = refused(write_recipe, f"api_key: {WORDS}")
    assert [problem.found for problem in error.problems][1:] == [
        "`data.generator.api_key` holds a secret by its name, which is not shown: recipes are "
        "copied into outputs"
    ]
    assert "did you mean `api_key_env`?" in error.problems[0].hint
    assert WORDS not in str(error)


@pytest.mark.parametrize("value", [KEYS["openai"], RANDOM, f"[{RANDOM}]", "'MY KEY'", '"$KEY"'])
def test_a_key_in_place_of_a_variables_name_is_not_shown(write_recipe: Write, value: str) -> None:
    error = refused(write_recipe, f"api_key_env: {value}")
    [problem] = error.problems
    assert problem.found == (
        "`data.generator.api_key_env` is no environment variable's name; it may be a key, so it "
        "is not shown"
    )
    assert problem.hint == "export MY_KEY=… and write `api_key_env: MY_KEY`"
    assert not any(part in str(error) for part in (RANDOM, "MY KEY", "$KEY"))


@pytest.mark.parametrize(
    "setting",
    [
        f"data.generator.parameters.api_key={WORDS}",
        f"data.generator.parameters={{password: {WORDS}}}",
        f"data.generator={{model: m, api_key_env: {RANDOM}}}",
        f"data.generator.parameters.user={KEYS['hugging face']}",
        f"data.generator.base_url={KEYS['userinfo']}",
        f"data.generator.parameters.password='{WORDS}",
        f"data.generator={{password: {WORDS}",
        f"password:{WORDS}",
        f"train.hf_use_auth_token={RANDOM}",
        f"{KEYS['openai']}=1",
    ],
)
def test_a_secret_of_the_command_line_is_not_said_back(write_recipe: Write, setting: str) -> None:
    write_recipe(("data:\n", GENERATOR.format("max_tokens: 5")))
    with pytest.raises(UserError) as caught:
        load("small", [setting])
    assert not any(part in str(caught.value) for part in (RANDOM, WORDS))
    assert "--set" in str(caught.value)


def test_wrong_types_around_a_secret_do_not_show_it(write_recipe: Write) -> None:
    error = refused(write_recipe, f"parameters: [{{password: {WORDS}}}], concurrency: {RANDOM}")
    assert "`data.generator.parameters` is" in str(error)
    assert WORDS not in str(error)


def test_a_problem_elsewhere_does_not_repeat_a_secret(write_recipe: Write) -> None:
    error = refused(write_recipe, f"parameters: {{api_key: {WORDS}}}, structured: {WORDS}")
    assert "`data.generator.structured` is '(hidden)'" in str(error)
    assert WORDS not in str(error)


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "sk-",
        "eyJ",
        "-eyJ-",
        "://",
        "://a?",
        "&key",
        "bearer ",
        "http://a:",
        "-----BEGIN ",
        "a_",
    ],
)
def test_hostile_texts_are_read_in_time(piece: str) -> None:
    """A piece many times: what is quadratic in it would not end in minutes."""
    text = "//" + piece * 5_000
    assert len(list(shapes_in(text))) <= 5_000
    assert isinstance(is_secret_name(text), bool)
    assert isinstance(names_secret(text), bool)
