"""Commands in namespaces of their own: a small disk, a folder that only reads, no way outside.

What is mounted there goes with the last process inside; nothing else on the machine sees it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

SMALL_DISK = """\
mount -t tmpfs -o size="$SIZE" tmpfs "$PLACE" && cp -r "$FROM"/. "$PLACE"
free=$(df --output=avail -B1 "$PLACE" | tail -1)
head -c $((free - FREE)) /dev/zero > "$PLACE/ballast"
"$@" > "$LOGS/full.log" 2>&1; full=$?
find "$PLACE" -name manifest.json > "$LOGS/manifests"
rm "$PLACE/ballast"
"$@" > "$LOGS/again.log" 2>&1; again=$?
cp -r "$PLACE"/. "$TO"
echo "$full $again"
"""
"""A command on a disk that has FREE bytes left, and again when it has room."""
READ_ONLY = """\
mount --bind "$PLACE" "$PLACE" && mount -o remount,ro,bind "$PLACE" || exit 99
exec "$@"
"""
NO_ROUTE = """\
ip link set lo up && mount --bind "$RESOLV" /etc/resolv.conf || exit 99
mount --bind "$HOSTS" /etc/hosts || exit 99
"$@"; code=$?
cat /proc/net/snmp /proc/net/snmp6 > "$COUNTERS"
exit $code
"""
"""A command where nothing but loopback can be reached: the name server's address has no route
either, so that a look-up counts as an attempt. Loopback has its names in HOSTS: torchrun alone asks
for that of `::1`, four times a training, which a machine's own file may lack."""


@cache
def refusal(kinds: str) -> str:
    """Why such namespaces cannot be made here; empty where they can."""
    trial = ["unshare", kinds, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "unshare failed"


def inside(
    kinds: str, script: str, words: Sequence[str], **given: object
) -> subprocess.CompletedProcess[str]:
    """Run a script around a command in new namespaces; skip, saying so, where that is refused."""
    if reason := refusal(kinds):
        pytest.skip(f"namespaces cannot be made here: {reason}")
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["unshare", kinds, "bash", "-c", script, "bash", *words],
        env=variables | {name: str(value) for name, value in given.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )


def without_route(counters: Path) -> int:
    """How often something in the namespace asked for an address that has no route, as the kernel
    counted: every process, every library, IPv4 and IPv6."""
    lines = counters.read_text(encoding="utf-8").splitlines()
    heads, values = (line.split() for line in lines if line.startswith("Ip: "))
    sixth = next(line.split()[1] for line in lines if line.startswith("Ip6OutNoRoutes"))
    return int(values[heads.index("OutNoRoutes")]) + int(sixth)
