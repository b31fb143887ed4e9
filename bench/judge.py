"""Seconds that judging takes: pairs in both orders, by a server that answers after a while.

Run `python -m bench.judge [pairs] [milliseconds] [turns]`; 100 pairs and 50 ms by default.

The real client and ledger on disk, and the scripted expert behind a real HTTP server in a process
of its own. Each turn has a fresh ledger; a second judging with the same one follows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from eval.judge.run import judge_variants
from tests.eval.judge.judges import make_work, numbered, paid, samples

SERVER = """
import asyncio, sys
from data_builders.scripted.expert import Expert
from data_builders.scripted.faults import Faults
from data_builders.scripted.server import ScriptedServer

async def main():
    expert = Expert(42, {})
    answer = lambda body: expert.reply(body["messages"][-1]["content"], 0)
    server = ScriptedServer(answer, Faults(median_seconds=float(sys.argv[1])))
    async with server.listening() as base_url:
        print(base_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def judging(folder: Path, base_url: str, pairs: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one judging, figures included."""
    replies = numbered(pairs)
    work = make_work(folder, replies, paid(base_url), questions=pairs)
    gold = {name: str(2 * int(name[1:])) for name in replies}
    begin, cpu = perf_counter(), process_time()
    found = judge_variants(work, samples(replies, gold))
    assert found.facts["dpo judge-base"]["pairs"] == pairs
    assert found.facts["dpo judge-base"]["requests"]["requests"] == 2 * pairs
    return perf_counter() - begin, process_time() - cpu


def main() -> None:
    os.environ["TEST_KEY"] = "any"
    given = [int(value) for value in sys.argv[1:]]
    pairs, milliseconds, turns = [*given, *(100, 50, 5)[len(given) :]]
    command = [sys.executable, "-c", SERVER, str(milliseconds / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        try:
            first, again = [], []
            for _ in range(turns):
                with tempfile.TemporaryDirectory() as name:
                    first.append(judging(Path(name), base_url, pairs))
                    again.append(judging(Path(name), base_url, pairs))
        finally:
            server.kill()
    for what, found in (("judged", first), ("from the ledger", again)):
        wall = sorted(seconds for seconds, _ in found)
        cpu = median(seconds for _, seconds in found)
        print(
            f"{pairs} pairs, {milliseconds} ms, {what}: {median(wall):.2f} s "
            f"[{wall[0]:.2f}-{wall[-1]:.2f}], {cpu:.2f} s of CPU, n = {turns}"
        )


if __name__ == "__main__":
    main()
