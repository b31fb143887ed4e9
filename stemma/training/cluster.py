"""Which of how many machines this is, and how many training processes each runs: GPUS, NNODES, NODE_RANK, MASTER.

All machines give the same command in the same checkout on a file system they share; only NODE_RANK differs. Machine 0
does the work, the others join its trainings (`stemma.training.worker_node`).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from stemma.errors import Problem, UserError

MEETING_SECONDS = 1800
"""How long machines wait for each other: machine 0 may still be reading rows when the others are ready."""
SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of a network interface."""


@dataclass(frozen=True)
class Cluster:
    """`processes` run on each of `nodes` machines; this is machine `node`; `master` is machine 0 as host:port."""

    processes: int = 1
    nodes: int = 1
    node: int = 0
    master: str = ""

    @property
    def world_size(self) -> int:
        return self.processes * self.nodes

    def torchrun(self, meeting: str) -> list[str]:
        """torchrun's arguments. `meeting` is the same on all machines for the same work, and for no other."""
        count = f"--nproc_per_node={self.processes}"
        if self.nodes == 1:
            return ["--standalone", count]  # a free port: two trainings on one machine must not meet
        static = ["--rdzv_backend=static", f"--rdzv_endpoint={self.master}", f"--rdzv_id={meeting}"]
        wait = f"--rdzv_conf=timeout={MEETING_SECONDS}"
        return [f"--nnodes={self.nodes}", f"--node_rank={self.node}", count, *static, wait]


def read_cluster(variables: Mapping[str, str], gpus: int) -> Cluster:
    """The cluster that the environment names; `gpus` are visible here (0: train on the CPU).

    Raises UserError with everything that is wrong.
    """
    problems: list[Problem] = []
    processes = _number(variables, "GPUS", max(1, gpus), problems)
    if gpus and processes > gpus:
        problems.append(Problem("GPUS", f"{processes} processes, but {gpus} visible GPU(s)", f"at most {gpus}"))
    nodes = _number(variables, "NNODES", 1, problems)
    node, master = 0, ""
    if nodes > 1:
        example = "e.g. `make dpo RECIPE=gemma2b NNODES=2 NODE_RANK=0 MASTER=host0:29500`, on each machine its own rank"
        node = _number(variables, "NODE_RANK", -1, problems)
        if node >= nodes or "NODE_RANK" not in variables:
            found = variables.get("NODE_RANK", "not given")
            problems.append(Problem("NODE_RANK", found, f"0 to {nodes - 1}, another on each machine", example))
        master = variables.get("MASTER", "")
        host, _, port = master.rpartition(":")
        if not host or not port.isdigit():
            problems.append(Problem("MASTER", master or "not given", "host:port of machine 0", example))
    if problems:
        raise UserError(problems)
    return Cluster(processes, nodes, node, master)


def _number(variables: Mapping[str, str], name: str, default: int, problems: list[Problem]) -> int:
    text = variables.get(name) or str(default)
    least = 0 if name == "NODE_RANK" else 1
    if name in variables and (not text.isdigit() or int(text) < least):
        problems.append(Problem(name, f"{text!r}", f"a whole number from {least}"))
        return default
    return int(text)


def interface_towards(master: str) -> str | None:
    """The network interface by which this machine reaches machine 0 (or machine 0 is reached); None if not found."""
    host, _, port = master.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))  # of a datagram socket: it only chooses the way, nothing is sent
        except OSError:
            return None
        address = probe.getsockname()[0]
        return next((name for _, name in socket.if_nameindex() if _address(probe, name) == address), None)


def _address(probe: socket.socket, interface: str) -> str | None:
    try:
        answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", interface.encode()))
    except OSError:  # it has no IPv4 address
        return None
    return socket.inet_ntoa(answer[20:24])
