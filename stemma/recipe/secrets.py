"""Secrets in a recipe: told by their names, their shapes and the addresses they stand in. Pure.

Recipes are copied into manifests, ledgers and model cards, so no secret may stand in one. What is
found here is named by its place and kind; the secret itself is never part of a message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stemma.errors import Problem
from stemma.recipe.axolotl_keys import Keys, Where

HIDDEN = "(hidden)"

WORD = r"(?:[A-Z]?[a-z]{1,14}|[A-Z]{1,12}|v?\d{1,8}|\d{1,3}[bBmMkK])"
"""A part of a name between hyphens: a word, a year or date, a version, a size."""
ORDINARY = r"(?:cache|column|foreign|group|max|next|order|page|partition|primary|row|search|sort)"
"""First words of an address's `…_key=` or `…_token=` that say where, and let nobody in."""

SHAPES: tuple[tuple[str, str], ...] = (
    (
        "a private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)",
    ),
    ("an Anthropic key (`sk-ant-…`)", r"\bsk-ant-[\w-]{12,}"),
    ("an OpenAI key (`sk-proj-…`)", r"\bsk-(?:proj|svcacct|admin|or)-[\w-]{12,}"),
    # `sk` is also the language Slovak: names of words and numbers, like `sk-wiki-2024` and
    # `sk-SNK-treebank-2023-final-version`, are no keys.
    ("a key (`sk-…`)", r"(?<![\w-])sk-(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}"),
    (
        "a key (`sk-…`)",
        rf"(?<![\w./-])sk-(?=[\w-]*\d)(?!{WORD}(?:[-_]{WORD})*(?![\w-]))[\w-]{{20,}}(?![\w./-])",
    ),
    ("a Hugging Face token (`hf_…`)", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,}"),
    ("a GitHub token (`ghp_…`)", r"(?<![A-Za-z0-9])gh[oprsu]_[A-Za-z0-9]{16,}"),
    ("a GitHub token (`github_pat_…`)", r"github_pat_\w{16,}"),
    ("a GitLab token (`glpat-…`)", r"\bglpat-[\w-]{16,}"),
    ("an AWS key (`AKIA…`)", r"(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("a Google key (`AIza…`)", r"(?<![A-Za-z0-9])AIza[\w-]{30,}"),
    ("a Google token (`ya29.…`)", r"\bya29\.[\w-]{20,}"),
    ("a Slack token (`xox…`)", r"\bxox[abceoprs]-[A-Za-z0-9-]{10,}"),
    ("a Slack address", r"hooks\.slack\.com/services/[\w/]{10,}"),
    ("a Groq key (`gsk_…`)", r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{16,}"),
    ("an NVIDIA key (`nvapi-…`)", r"\bnvapi-[\w-]{16,}"),
    ("a Replicate key (`r8_…`)", r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{20,}"),
    ("a Weights & Biases key (`wandb_v1_…`)", r"(?<![A-Za-z0-9])wandb_v1_\w{20,}"),
    (
        "a key of a model server",
        r"(?<![\w./-])(?:api_org_|csk-|fw_|jina_|nvapi-|pa-|pcsk_|rpa_|sess-|sk_|tgp_v1_)"
        r"(?=\w*\d)[A-Za-z0-9]\w{0,8}[A-Za-z0-9]{18,}",
    ),
    (
        "a key of a tracing service",
        r"(?<![\w-])(?:lsv2_(?:pt|sk)_|[sp]k-lf-|tvly-|KGAT_)[\w-]{20,}",
    ),
    (
        "a token of a cloud or a store of code",
        r"(?<![\w-])(?:ATBB|ATATT|do[opr]_v1_|dckr_[po]at_|gl(?:rt|dt|cbt|ptt|soat|ft|sa)[-_]|hv[sb]\."
        r"|dapi(?=[0-9a-f]{32})|xapp-|AQ\.Ab|SG\.(?=[\w-]{22}\.)|sb_secret_|sbp_|AGE-SECRET-KEY-)"
        r"[\w.-]{16,}",
    ),
    ("an address that lets in", r"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}"),
    ("an xAI or Perplexity key", r"\b(?:xai|pplx)-[A-Za-z0-9]{20,}"),
    ("a Stripe key (`sk_live_…`)", r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    ("a package registry's token", r"(?<![A-Za-z0-9])(?:npm_[A-Za-z0-9]{30,}|pypi-AgE[\w-]{20,})"),
    ("a JSON Web Token", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?"),
    (
        "an authorization (`Bearer …`)",
        r"(?i:\bbearer)[ \t]+(?=[\w.~+/-]*\d|[\w.~+/-]{20})[\w.~+/-]{8,}=*",
    ),
    ("an address with user and password", r"(?i)\b(?:https?|ftp|wss?)://[^\s/?#@\"'<>]+@"),
    ("an address with user and password", r"(?<![:\w])//[^\s/?#@:\"'<>]+:[^\s/?#@\"'<>]+@"),
    (
        "an address with user and password",
        r"\b[A-Za-z][\w+.-]{0,30}:/{1,2}[^\s/?#@:\"'<>]*:[^\s/?#@\"'<>]+@",
    ),
    (
        "an address with a key in its query",
        r"(?i)://[^\s\"'<>?#]{0,200}[?#](?:[^\s\"'<>]{0,200}[?&;#])?"
        rf"(?:(?!{ORDINARY}[_-]?(?:key|token)=)[\w-]{{0,40}}"
        r"(?:key|token|secret|password|passwd|signature)|pwd|auth|sig)=[^&#\s\"'<>]+",
    ),
)
"""What keys look like, by the names that messages give them."""

COMPILED = [(kind, re.compile(pattern)) for kind, pattern in SHAPES]
GIVEN = re.compile(
    r"(?<![\w-])([A-Za-z][\w-]{2,60})[\"']?[ \t]*[:=][ \t]*[\"']?(?:(?i:token|key)[ \t]+)?"
    r"((?=[A-Za-z+/_-]*\d)(?=[\d+/_-]*[A-Za-z])[A-Za-z0-9][\w+/-]{19,}={0,2})(?![\w(.\[])"
)
"""A long value of letters and digits behind a name in running text: `export MY_API_KEY=…`."""
BASIC = re.compile(r"(?i:\bbasic)[ \t]+([A-Za-z0-9+/]{8,}={0,2})")

NAMED = re.compile(
    r"(?:.*_)?(?:api_?keys?|(?:access|private|secret|signing|subscription)_key|access_key_id"
    r"|secrets?|passw(?:or)?d|passphrase|credentials?"
    r"|(?:access|api|auth|bearer|bot|id|refresh|sas|session)_token"
    r"|(?:account|encryption|master|storage)_key|connection_string)"
    r"|token|jwt|auth|(?:proxy_)?authorization|bearer|(?:set_)?cookie|pwd"
    r"|(?:hf|hub|hugging_?face(?:_hub)?|wandb|comet|mlflow|git(?:hub|lab)?|gh|slack|openai"
    r"|anthropic|replicate|cohere|mistral|together|azure|aws|google|gcp)_(?:token|key)"
)
"""Keys whose value is a secret; `pad_token`, `max_tokens` and `api_key_env` do not."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RANDOM = re.compile(r"(?=[^_]*\d)(?=[^_]*[A-Za-z])[A-Za-z0-9]{16,}")
"""A part between underscores that no variable's name has: long, of letters and digits."""

HINT = (
    "keep it in an environment variable, e.g. HF_TOKEN or WANDB_API_KEY; `api_key_env` takes a "
    "variable's NAME"
)


@dataclass(frozen=True)
class Secret:
    """A secret found: where it stands in the recipe, what kind it is, and its own text."""

    keys: Keys
    kind: str
    text: str = field(repr=False)


def secrets_in(value: Any, keys: Keys = ()) -> Iterator[Secret]:
    """Every secret in the values of a recipe."""
    name = keys[-1] if keys else ""
    if name == "api_key_env":
        if value is not None and not is_variable(value):
            yield from (Secret(keys, "variable", text) for text in _texts(value))
    elif is_secret_name(name) and keys[-2:-1] != ("servers",):
        yield from (Secret(keys, "named", text) for text in _texts(value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            for kind, text in shapes_in(str(key)):
                yield Secret((*keys, HIDDEN), kind, text)
            yield from secrets_in(inner, (*keys, str(key)))
    elif isinstance(value, list | tuple | set):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, (*keys, str(index)))
    elif isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        yield from (Secret(keys, kind, found) for kind, found in shapes_in(text))


def _texts(value: Any) -> Iterator[str]:
    """What could be secret of a value: texts and long numbers, not switches or shares."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | bytes) and value.strip():
        yield value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > 999:
        yield hex(value) if abs(value) > 10**100 else str(value)


def is_secret_name(name: str) -> bool:
    """Whether what a key of this name holds is a secret, however its words are joined."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    plain = re.sub(r"[\W_]+", "_", words).strip("_").lower().removeprefix("x_")
    return bool(NAMED.fullmatch(plain))


def names_secret(text: str) -> bool:
    """Whether a text gives a value to a key whose name is a secret's: `password: …`, `token=…`."""
    return any(map(is_secret_name, re.findall(r"(?<![\w-])[\w-]{1,100}(?=[\"']?\s*[:=])", text)))


def is_variable(value: Any) -> bool:
    """Whether it can be the name of an environment variable, and is no key pasted in its place."""
    if not isinstance(value, str) or not VARIABLE.fullmatch(value):
        return False
    return not (next(shapes_in(value), None) or any(map(RANDOM.fullmatch, value.split("_"))))


def shapes_in(text: str) -> Iterator[tuple[str, str]]:
    """What looks like a key in a text: its kind, and its own words; each place once."""
    found = [(match, kind) for kind, pattern in COMPILED for match in pattern.finditer(text)]
    found += [
        (match, "an authorization (`Basic …`)")
        for match in BASIC.finditer(text)
        if _is_basic(match[1])
    ]
    found += [
        (match, f"a secret behind its name (`{match[1]}=…`)")
        for match in GIVEN.finditer(text)
        if is_secret_name(match[1])
    ]
    end = 0
    for match, kind in sorted(found, key=lambda one: (one[0].start(), -one[0].end())):
        if match.start() >= end:
            yield kind, match[0]
            end = match.end()


def _is_basic(text: str) -> bool:
    """Whether it is user and password, as Basic authentication packs them."""
    try:
        said = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in said and said.isascii()


def without_secrets(text: str, known: Iterable[str] = ()) -> str:
    """The text without what is known to be secret, nor what looks like a key."""
    for secret in sorted({*known}, key=len, reverse=True):
        # Of a short one only the quoted form, since its letters stand in every other word.
        for form in (secret, repr(secret)[1:-1]) if len(secret) > 3 else (repr(secret),):
            text = text.replace(form, HIDDEN)
    for _, found in sorted(shapes_in(text), key=lambda one: len(one[1]), reverse=True):
        text = text.replace(found, HIDDEN)
    return text


def secret_problem(secret: Secret, where: Where) -> Problem:
    """The problem of one secret, which tells it by its place."""
    path = ".".join(secret.keys)
    place = where(secret.keys)
    if secret.kind == "variable":
        found = f"`{path}` is no environment variable's name; it may be a key, so it is not shown"
        hint = "export MY_KEY=… and write `api_key_env: MY_KEY`"
        return Problem(place, found, "the NAME of a variable, e.g. OPENAI_API_KEY", hint)
    kind = "a secret by its name" if secret.kind == "named" else secret.kind
    found = f"`{path}` holds {kind}, which is not shown: recipes are copied into outputs"
    return Problem(place, found, "no secret in a recipe", HINT)
