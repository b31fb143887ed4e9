"""Numbers of processes and machines: read from the environment, every mistake at once."""

from __future__ import annotations

import pytest

from stemma.errors import UserError
from stemma.training.cluster import Cluster, interface_towards, read_cluster

TWO = {"NNODES": "2", "NODE_RANK": "1", "MASTER": "host0:29500"}


def test_alone_it_takes_a_free_port() -> None:
    assert read_cluster({}, gpus=0) == Cluster(processes=1)
    assert read_cluster({}, gpus=4).world_size == 4
    assert read_cluster({"GPUS": "2"}, gpus=4).torchrun("x") == [
        "--standalone",
        "--nproc_per_node=2",
    ]


def test_several_machines_meet_at_the_first() -> None:
    cluster = read_cluster(TWO | {"GPUS": "8"}, gpus=8)
    assert (cluster.world_size, cluster.node) == (16, 1)
    assert cluster.torchrun("abc") == [
        "--nnodes=2",
        "--node_rank=1",
        "--nproc_per_node=8",
        "--rdzv_backend=static",
        "--rdzv_endpoint=host0:29500",
        "--rdzv_id=abc",
        "--rdzv_conf=timeout=1800",
    ]


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        read_cluster({"GPUS": "all", "NNODES": "2"}, gpus=0)
    told = [str(problem).splitlines()[0] for problem in caught.value.problems]
    assert told == ["GPUS: 'all'", "NODE_RANK: not given", "MASTER: not given"]
    assert (
        "expected: 0 to 1, another on each machine\n  hint: e.g. `make dpo RECIPE=gemma2b"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"NODE_RANK": "2"}, "NODE_RANK: 2\n  expected: 0 to 1"),
        ({"NODE_RANK": "-1"}, "NODE_RANK: '-1'\n  expected: a whole number from 0"),
        ({"MASTER": "host0"}, "MASTER: host0\n  expected: host:port of machine 0"),
        ({"NNODES": "0"}, "NNODES: '0'\n  expected: a whole number from 1"),
        ({"GPUS": "9"}, r"GPUS: 9 processes, but 8 visible GPU\(s\)\n  expected: at most 8"),
    ],
)
def test_one_mistake(change: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_cluster(TWO | change, gpus=8)


def test_the_interface_towards_the_first_machine() -> None:
    assert interface_towards("127.0.0.1:29500") == "lo"
    assert interface_towards("no-such-host.invalid:29500") is None
