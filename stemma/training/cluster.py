"""This machine's place in a cluster, and its training processes: GPUS, NNODES, NODE_RANK, MASTER.

All machines give the same command in the same checkout on a file system they share; only NODE_RANK
differs. Machine 0 does the work, the others join its trainings (`stemma.training.worker_node`).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from stemma.errors import Problem, UserError

MEETING_SECONDS = 1800
"""Seconds that machines wait for each other.

Machine 0 may still be reading rows when the others are ready.
"""
SIOCGIFADDR = 0x8915
"""Linux's request for the IPv4 address of a network interface."""
EXAMPLE = (
    "e.g. `make dpo RECIPE=gemma2b NNODES=2 NODE_RANK=0 MASTER=host0:29500`, "
    "on each machine its own rank"
)


@dataclass(frozen=True)
class Cluster:
    """The machines of a training, and which of them this one is."""

    processes: int = 1
    """Training processes on each machine."""
    nodes: int = 1
    """Machines."""
    node: int = 0
    """This machine's number, from 0."""
    master: str = ""
    """Machine 0 as host:port; empty of a single machine."""

    @property
    def world_size(self) -> int:
        """Training processes on all machines together."""
        return self.processes * self.nodes

    def torchrun(self, meeting: str) -> list[str]:
        """torchrun's arguments.

        `meeting` is the same on all machines for the same work, and for no other.
        """
        count = f"--nproc_per_node={self.processes}"
        if self.nodes == 1:
            # It takes a free port: two trainings on one machine must not meet.
            return ["--standalone", count]
        return [
            f"--nnodes={self.nodes}",
            f"--node_rank={self.node}",
            count,
            "--rdzv_backend=static",
            f"--rdzv_endpoint={self.master}",
            f"--rdzv_id={meeting}",
            f"--rdzv_conf=timeout={MEETING_SECONDS}",
        ]


def read_cluster(variables: Mapping[str, str], gpus: int) -> Cluster:
    """The cluster that the environment names; `gpus` are visible here (0: train on the CPU).

    Raises UserError with everything that is wrong.
    """
    problems: list[Problem] = []
    processes = _number(variables, "GPUS", max(1, gpus), problems)
    if gpus and processes > gpus:
        found = f"{processes} processes, but {gpus} visible GPU(s)"
        problems.append(Problem("GPUS", found, f"at most {gpus}"))
    nodes = _number(variables, "NNODES", 1, problems)
    cluster = Cluster(processes)
    if nodes > 1:
        node = _number(variables, "NODE_RANK", -1, problems)
        if node >= nodes or "NODE_RANK" not in variables:
            found = variables.get("NODE_RANK", "not given")
            expected = f"0 to {nodes - 1}, another on each machine"
            problems.append(Problem("NODE_RANK", found, expected, EXAMPLE))
        master = variables.get("MASTER", "")
        host, _, port = master.rpartition(":")
        if not host or not port.isdigit():
            found = master or "not given"
            problems.append(Problem("MASTER", found, "host:port of machine 0", EXAMPLE))
        cluster = Cluster(processes, nodes, node, master)
    if problems:
        raise UserError(problems)
    return cluster


def _number(variables: Mapping[str, str], name: str, default: int, problems: list[Problem]) -> int:
    text = variables.get(name) or str(default)
    least = 0 if name == "NODE_RANK" else 1
    if name in variables and (not text.isdigit() or int(text) < least):
        problems.append(Problem(name, f"{text!r}", f"a whole number from {least}"))
        return default
    return int(text)


def interface_towards(master: str) -> str | None:
    """The network interface by which this machine and machine 0 reach each other.

    None where it is not found.
    """
    host, _, port = master.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Of a datagram socket, `connect` only chooses the way: nothing is sent.
            probe.connect((host, int(port)))
        except OSError:
            return None
        address = probe.getsockname()[0]
        names = (name for _, name in socket.if_nameindex())
        return next((name for name in names if _address(probe, name) == address), None)


def _address(probe: socket.socket, interface: str) -> str | None:
    """The interface's IPv4 address; None where it has none."""
    request = struct.pack("256s", interface.encode())
    try:
        answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)
    except OSError:
        return None
    return socket.inet_ntoa(answer[20:24])
