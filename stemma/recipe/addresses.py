"""Addresses in a recipe: whether prompts, answers and keys may go there. Pure, no look-ups.

A stranger's recipe must not read a cloud machine's credentials (169.254.169.254), nor a file, nor
send a key unencrypted. Addresses that programs read in different ways are refused: what is checked
here is what is asked later.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from stemma.errors import Problem
from stemma.recipe.axolotl_keys import Keys, Where

Address = IPv4Address | IPv6Address

URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}\S*\s*|(?i:file|data|javascript|unix):\S+")
"""A value that is an address as a whole; prose that names one is not."""
DESCRIBED = {"licence", "license", "description", "note", "notes"}
"""Keys whose addresses are read by people, not by programs."""
REMOTE = {"https", "wss", "s3", "gs", "gcs", "az", "abfs", "hf"}
"""Schemes that encrypt."""
PLAIN = {"http", "ws"}

METADATA_NAMES = {
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
}
METADATA = {
    ip_address(address)
    for address in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
}
"""Where clouds give a machine its credentials, beside the link-local 169.254.169.254."""

EXPECTED_URL = "https://host/v1, or http://127.0.0.1:8000/v1 for a server of this machine"
INSECURE_HINT = "for a server of a network you trust say `allow_insecure: true` in the recipe"
PRIVATE_HINT = "where it is really meant say `allow_private: true` in the recipe"


@dataclass(frozen=True)
class Refusal:
    """Why an address may not be asked."""

    found: str
    expected: str
    hint: str = ""
    unless: Literal["allow_insecure", "allow_private", ""] = ""
    """What the recipe may say to have it nevertheless."""


def address_problems(values: dict[str, Any], where: Where) -> Iterator[Problem]:
    """The addresses anywhere in a recipe that it may not hold, or must allow first."""
    allowed = {key for key in ("allow_insecure", "allow_private") if values.get(key) is True}
    for keys, url in _addresses(values, ()):
        for refusal in refusals(url, is_server=keys[-1] == "base_url"):
            if refusal.unless not in allowed:
                found = f"`{'.'.join(keys)}`: {refusal.found}"
                yield Problem(where(keys), found, refusal.expected, refusal.hint)


def _addresses(value: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _addresses(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _addresses(inner, (*keys, str(index)))
    elif isinstance(value, str) and keys and not DESCRIBED & set(keys):
        is_address = keys[-1] == "base_url" or URL.fullmatch(value)
        yield from [(keys, value)] if is_address else []


def refusals(url: str, is_server: bool = True) -> Iterator[Refusal]:
    """Why the address may not be asked; `is_server`: chat requests with a key go there."""
    if not url.isascii() or not url.isprintable() or re.search(r"[\s\\]", url):
        found = "an address with characters that programs read in different ways"
        yield Refusal(found, "plain ASCII; a name of other letters in its form xn--…")
        return
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield Refusal("no address: its host or port cannot be read", EXPECTED_URL)
        return
    if parts.scheme not in REMOTE | PLAIN or (is_server and parts.scheme not in ("http", "https")):
        yield _scheme_refusal(parts, is_server)
    elif not parts.hostname or "%" in parts.hostname.partition("%25")[0]:
        yield Refusal("an address without a plain host", EXPECTED_URL)
    elif parts.scheme in REMOTE - {"https", "wss"}:
        return  # a bucket or a data set, no host
    else:
        yield from _host_refusals(parts)


def _scheme_refusal(parts: SplitResult, is_server: bool) -> Refusal:
    scheme = f"`{parts.scheme}:`" if parts.scheme else "no scheme"
    if is_server:
        return Refusal(f"an address of {scheme}", f"an address that begins so: {EXPECTED_URL}")
    found = f"an address of {scheme}: it may read this machine's files or services"
    return Refusal(found, "https://…", PRIVATE_HINT, "allow_private")


def _host_refusals(parts: SplitResult) -> Iterator[Refusal]:
    host = (parts.hostname or "").partition("%")[0].removesuffix(".")
    address = _address(host)
    if isinstance(address, str):
        yield Refusal(f"the host `{host}` is no IP address as it is written", address)
        return
    if _is_inside(host, address):
        found = f"the host `{host}` is link-local or gives a cloud machine its credentials"
        yield Refusal(found, "a server's address", PRIVATE_HINT, "allow_private")
    if parts.scheme in PLAIN and not is_this_machine(host):
        found = f"unencrypted `{parts.scheme}://` to another machine, `{host}`"
        yield Refusal(found, EXPECTED_URL, INSECURE_HINT, "allow_insecure")


def _address(host: str) -> Address | str | None:
    """The IP address a host is, IPv4 within IPv6 as itself; its right form as a text where it is
    written in one that only some programs read (0x7f.1, 2130706433); None for a name."""
    try:
        found = ip_address(host)
    except ValueError:
        # The last part decides, as browsers have it: no top-level domain is a number.
        if not re.fullmatch(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)", host.rpartition(".")[2]):
            return None
        try:
            return f"`{IPv4Address(socket.inet_aton(host))}`"
        except OSError:
            return "an address of four numbers, e.g. 127.0.0.1"
    return _within(found) or found


def _within(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64 or compatible."""
    if isinstance(address, IPv4Address):
        return None
    teredo = address.teredo[1] if address.teredo else None
    number = int(address)
    if number >> 32 in (0, 0x64FF9B << 64) and number > 1:
        return IPv4Address(number & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or teredo


def _is_inside(host: str, address: Address | str | None) -> bool:
    if isinstance(address, IPv4Address | IPv6Address):
        if address.is_loopback or address.is_unspecified:
            return False
        is_none = address.is_multicast or address.is_reserved
        return address.is_link_local or address in METADATA or is_none
    return host.lower() in METADATA_NAMES


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine's own: loopback, or the address that stands for all of it."""
    address = _address(host.partition("%")[0].removesuffix("."))
    if isinstance(address, IPv4Address | IPv6Address):
        return address.is_loopback or address.is_unspecified
    return host.lower().removesuffix(".") == "localhost"
