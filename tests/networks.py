"""Machines for tests: network namespaces joined by a cable.

Each has its own addresses, ports and loopback.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def need_namespaces() -> None:
    """Skip, saying so, where this process may not make network namespaces."""
    if shutil.which("ip") is None:
        pytest.skip("needs `ip` (iproute2) to make network namespaces")
    name = f"stemma-{uuid.uuid4().hex[:8]}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make network namespaces (root)")
    ip("netns", "delete", name)


@contextmanager
def two_machines() -> Iterator[list[tuple[str, str]]]:
    """(namespace, address) of two machines with one cable between them.

    Nothing outside can be reached from them.
    """
    tag = uuid.uuid4().hex[:6]
    machines = [(f"stemma-{tag}-{number}", f"10.77.0.{number + 1}") for number in (0, 1)]
    cables = [f"st{tag}{number}" for number in (0, 1)]
    try:
        for name, _ in machines:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for (name, address), cable in zip(machines, cables, strict=True):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", cable)
            for device in (cable, "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield machines
    finally:
        for name, _ in machines:
            # The cable goes with its machine.
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
