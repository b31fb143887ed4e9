"""The chain without a network: it needs none, and it does not even try."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bed import SETTINGS, copied
from tests.faults.commands import command
from tests.faults.namespaces import NO_ROUTE, inside, without_route

pytestmark = pytest.mark.faults

TRIES = """\
import socket
for address in ("192.0.2.1", "2001:db8::1"):
    try:
        socket.create_connection((address, 80), 1)
    except OSError:
        pass
try:
    socket.getaddrinfo("example.org", 80)
except OSError:
    pass
"""
SMALL_CHAIN = {
    "base.max_steps": "20",
    **{f"{stage}.max_steps": "2" for stage in ("sft", "dpo", "mcq")},
    "export.bitsandbytes": "[nf4]",
    "export.gguf.types": "[F16, Q4_K_M]",
    "eval.variants": "[base, dpo, gguf-Q4_K_M+retrieved]",
    "eval.tasks": "[{task: mcq, limit: 8}, {task: generation, limit: 8}]",
    "eval.judge.0.questions": "8",
}
"""Every stage is real; each is short."""


def where(tmp_path: Path) -> dict[str, Path]:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.1\n", encoding="utf-8")
    hosts = tmp_path / "hosts"
    names = f"localhost {socket.gethostname()}"
    hosts.write_text(f"127.0.0.1 {names}\n::1 {names}\n", encoding="utf-8")
    return {"RESOLV": resolv, "HOSTS": hosts, "COUNTERS": tmp_path / "counters"}


def test_the_count_counts(tmp_path: Path, seen: Callable[[str], None]) -> None:
    """Two connections and a look-up of a name: a count that stays 0 there would show nothing."""
    given = where(tmp_path)
    done = inside("-rnm", NO_ROUTE, [sys.executable, "-c", TRIES], **given)
    skip_where_refused(done.returncode, done.stderr)
    assert done.returncode == 0, done.stderr
    counted = without_route(given["COUNTERS"])
    assert counted >= 3
    seen(f"two connections and a look-up of a name by hand are counted: {counted}")


def test_the_whole_chain_needs_no_network_and_tries_none(
    tmp_path: Path, seen: Callable[[str], None]
) -> None:
    runs, given = tmp_path / "runs", where(tmp_path)
    done = inside("-rnm", NO_ROUTE, command("all", runs, SMALL_CHAIN), **given)
    skip_where_refused(done.returncode, done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    asked = command("chat", runs, SMALL_CHAIN, "Which unit measures force?")
    tried = without_route(given["COUNTERS"])
    chat = inside("-rnm", NO_ROUTE, asked, **given)
    assert chat.returncode == 0, chat.stderr[-3000:]
    tried += without_route(given["COUNTERS"])
    assert tried == 0, "something tried to reach the outside"
    overrides = ", ".join(f"`{key}={value}`" for key, value in SMALL_CHAIN.items())
    seen(
        "`all` from nothing and `chat` exit 0; attempts to reach the outside (telemetry): 0; once, "
        f"all stages, with {overrides}"
    )


def test_stages_behind_training_need_no_network(
    tmp_path: Path, seen: Callable[[str], None]
) -> None:
    told = []
    for stage in ("rag", "report"):
        runs, given = copied(stage, tmp_path / stage), where(tmp_path)
        done = inside("-rnm", NO_ROUTE, command(stage, runs, SETTINGS[stage]), **given)
        skip_where_refused(done.returncode, done.stderr)
        assert done.returncode == 0, done.stderr[-3000:]
        assert without_route(given["COUNTERS"]) == 0, "something tried to reach the outside"
        told.append(stage)
    seen(f"{', '.join(told)}: exit 0, attempts to reach the outside: 0")


def skip_where_refused(code: int, said: str) -> None:
    if code == 99:
        pytest.skip(f"no network namespace here: {said.strip()}")
