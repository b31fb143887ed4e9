"""Addresses: encrypted or of this machine, in one spelling, unless the recipe says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from stemma.errors import UserError
from stemma.recipe.addresses import is_this_machine, refusals
from stemma.recipe.check import warnings
from stemma.recipe.load import load

Write = Callable[..., Path]

ACCEPTED = (
    "https://api.openai.com/v1",
    "https://10.0.0.5:8000/v1",
    "https://xn--bcher-kva.example/v1",
    "https://[2606:4700::1111]/v1",
    "http://127.0.0.1:8000/v1",
    "http://127.9.9.9:8000/v1",
    "http://localhost:8000/v1",
    "http://LOCALHOST./v1",
    "http://[::1]:8000/v1",
    "http://[::ffff:127.0.0.1]:8000/v1",
    "http://0.0.0.0:8000/v1",
    "HTTP://127.0.0.1/v1",
)
INSECURE = (
    "http://10.0.0.5:8000/v1",
    "http://192.168.1.7/v1",
    "http://172.16.0.1/v1",
    "http://[fc00::1]/v1",
    "http://8.8.8.8/v1",
    "http://example.org/v1",
    "http://localhost.evil.example/v1",
    "http://127.0.0.1.nip.io/v1",
    "http://notlocalhost/v1",
    "http://x.localhost/v1",
    "http://example.org?@127.0.0.1",
    "http://example.org#@127.0.0.1",
)
PRIVATE = (
    "https://169.254.169.254/latest",
    "https://169.254.0.1/",
    "https://169.254.169.254./",
    "https://[fe80::1]/v1",
    "https://[fe80::1%25eth0]/v1",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[::a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://metadata.google.internal/computeMetadata/v1",
    "https://METADATA.google.internal./",
    "https://metadata/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
)
NEVER = {
    "https://0x7f.1/": "no IP address as it is written",
    "https://0x7f000001/": "no IP address as it is written",
    "https://2130706433/": "no IP address as it is written",
    "https://2852039166/": "no IP address as it is written",
    "https://0251.0376.0251.0376/": "no IP address as it is written",
    "https://127.1/": "no IP address as it is written",
    "https://1.2.3.4.5/": "no IP address as it is written",
    "https://256.1.1.1/": "no IP address as it is written",
    "https://0xa9fea9fe./": "no IP address as it is written",
    "https://１２７.0.0.1/": "characters that programs read in different ways",
    "https://bücher.example/": "characters that programs read in different ways",
    "https://loc\u00adalhost/": "characters that programs read in different ways",
    "https://127.0.0.1\\@evil.example/": "characters that programs read in different ways",
    "https://evil.example\t/": "characters that programs read in different ways",
    "https://evil.example\n/": "characters that programs read in different ways",
    "https://a b/": "characters that programs read in different ways",
    "https://%31%32%37.0.0.1/": "without a plain host",
    "https:///v1": "without a plain host",
    "https://": "without a plain host",
    "https://host:99999/": "cannot be read",
    "https://[::1/": "cannot be read",
    "file:///etc/passwd": "an address of `file:`",
    "ftp://host/v1": "an address of `ftp:`",
    "gopher://host/": "an address of `gopher:`",
    "unix:///var/run/docker.sock": "an address of `unix:`",
    "ws://host/v1": "an address of `ws:`",
    "data:text/plain,x": "an address of `data:`",
    "localhost:8000/v1": "an address of `localhost:`",
    "//evil.example/v1": "an address of no scheme",
    "evil.example/v1": "an address of no scheme",
    "": "an address of no scheme",
}


@pytest.mark.parametrize("url", ACCEPTED)
def test_encrypted_addresses_and_this_machines_pass(url: str) -> None:
    assert list(refusals(url)) == []


@pytest.mark.parametrize("url", INSECURE)
def test_unencrypted_addresses_of_others_must_be_allowed(url: str) -> None:
    [refusal] = refusals(url)
    assert refusal.unless == "allow_insecure"
    assert "unencrypted `http://` to another machine" in refusal.found
    assert "allow_insecure: true" in refusal.hint


@pytest.mark.parametrize("url", PRIVATE)
def test_link_local_and_metadata_addresses_must_be_allowed(url: str) -> None:
    [refusal] = refusals(url)
    assert refusal.unless == "allow_private"
    assert "link-local or gives a cloud machine its credentials" in refusal.found
    found = {one.unless for one in refusals(url.replace("https", "http"))}
    assert found == {"allow_private", "allow_insecure"}


@pytest.mark.parametrize("url", NEVER)
def test_other_schemes_and_doubtful_spellings_are_refused(url: str) -> None:
    [refusal] = refusals(url)
    assert refusal.unless == ""
    assert NEVER[url] in refusal.found


@pytest.mark.parametrize("url", [*ACCEPTED, *INSECURE, *PRIVATE])
def test_the_client_asks_the_host_that_was_checked(url: str) -> None:
    """A host that reads as this machine's here is so for the client, and no other is."""
    host = httpx2.URL(url).host
    assert is_this_machine(host) == (url in ACCEPTED and url.lower().startswith("http:"))


def judged(write_recipe: Write, url: str, *more: str) -> None:
    generator = f"{{model: m, base_url: '{url}'}}"
    served = f"{{x: {{base_url: '{url}', model: m}}}}"
    write_recipe(
        ("data:\n", f"data:\n  generator: {generator}\n"),
        ("  - {task: preference}", f"  - {{task: preference}}\n  servers: {served}"),
        ("name: small", "\n".join(["name: small", *more])),
    )


def told(*more: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load("small")
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize(("url", "flag"), [(INSECURE[0], "insecure"), (PRIVATE[0], "private")])
def test_check_names_the_key_and_the_recipe_may_allow_it(
    write_recipe: Write, url: str, flag: str
) -> None:
    judged(write_recipe, url)
    problems = told()
    places = ["`data.generator.base_url`", "`eval.servers.x.base_url`"]
    assert [one.split(": ")[1] for one in problems] == places
    assert all(f"allow_{flag}: true" in one for one in problems)
    assert all(one.startswith("recipes/small.yml:") for one in problems)
    judged(write_recipe, url, f"allow_{flag}: true")
    assert any(f"allow_{flag}: true" in one for one in warnings(load("small")))
    judged(write_recipe, url, f"allow_{flag}: 'yes'")
    assert len(told()) == 3


@pytest.mark.parametrize("flag", ["allow_insecure: true", "allow_private: true"])
def test_the_one_does_not_allow_the_other(write_recipe: Write, flag: str) -> None:
    judged(write_recipe, "http://169.254.169.254/latest", flag)
    assert len(told()) == 2


@pytest.mark.parametrize(
    ("url", "allowing"),
    [
        ("http://mlflow.example", "allow_insecure: true"),
        ("file:///etc", "allow_private: true"),
        ("sqlite:///x.db", "allow_private: true"),
        ("https://169.254.169.254", "allow_private: true"),
    ],
)
def test_addresses_in_axolotls_keys_are_held_to_the_same(
    write_recipe: Write, url: str, allowing: str
) -> None:
    setting = ("  lora_r: 8", f"  lora_r: 8\n  mlflow_tracking_uri: {url}")
    write_recipe(setting)
    [problem] = told()
    assert problem.startswith("recipes/small.yml:10: `train.mlflow_tracking_uri`: ")
    assert allowing in problem
    write_recipe(setting, ("name: small", f"name: small\n{allowing}"))
    load("small")


@pytest.mark.parametrize("value", ["https://mlflow.example", "./mlruns", "databricks"])
def test_other_values_of_axolotls_keys_pass(write_recipe: Write, value: str) -> None:
    write_recipe(("  lora_r: 8", f"  lora_r: 8\n  mlflow_tracking_uri: {value}"))
    load("small")


def test_what_people_read_is_no_address(write_recipe: Write) -> None:
    source = "{source: gsm8k, path: train.jsonl"
    write_recipe((source, f"{source}, licence: 'http://example.org/licence'"))
    load("small")


def test_user_and_password_are_told_once_and_not_shown(write_recipe: Write) -> None:
    judged(write_recipe, "http://me:hunter2@127.0.0.1/v1")
    problems = told()
    assert len(problems) == 2
    assert all("holds an address with user and password, which is not shown" in p for p in problems)
    assert "hunter2" not in "".join(problems)
