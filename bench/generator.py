"""The generator against a slow, capped, faulty server, beside what a user might take instead.

One command: `.venv/bin/python bench/generator.py` (about 25 minutes; `--help` for less). It prints
a Markdown table. Every contestant asks the same questions of the same server (a process of its own,
same seed, same faults), one after the other. distilabel and curator run in environments made on the
spot, with the settings their manuals advise.

`share of the cap`: requests that the server let through a second, between the first and the last
tenth of them, against its cap (a little over 100 % where the second's worth that its bucket holds
is used up meanwhile). `lost`: questions without a right answer at the end. `doubled`: questions
with two. `billed twice`: replies made beyond one a question. The kill: `kill -9` at a random
moment, then the same command again. In flight: what the server answered after the kill, or so
shortly before it that the client may not have handled it yet (0.1 s).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contestants import CONTESTANTS, question

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = {
    "distilabel": [
        "distilabel[openai]==1.5.3",
        "requests",
    ],  # imports requests without declaring it
    "curator": ["bespokelabs-curator==0.1.31"],
}
HANDLING_SECONDS = 0.1
Json = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    requests: int
    per_minute: int
    seed: int
    shares: dict[str, float]

    def faults(self) -> str:
        return json.dumps(
            {
                "seed": self.seed,
                "shares": self.shares,
                "median_seconds": 0.3,
                "sigma": 0.5,
                "burst_seconds": 1,
                "requests_per_minute": self.per_minute,
                "tokens_per_minute": 10_000 * self.per_minute,
            }
        )


@contextmanager
def scripted(setting: Setting) -> Iterator[str]:
    command = [sys.executable, "-m", "data_builders.scripted.server", "--faults", setting.faults()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def stats(url: str) -> Json:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=30) as reply:
        found: Json = json.loads(reply.read())
    return found


def start(name: str, python: Path, url: str, n: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [python, Path(__file__).with_name("contestants.py"), name, url, str(n), folder]
    environment = {
        **os.environ,
        "BENCH_KEY": "no-key-needed",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def cpu_seconds() -> float:
    """Used by all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def race(name: str, python: Path, setting: Setting, folder: Path) -> Json:
    """One undisturbed run."""
    n = setting.requests
    with scripted(setting) as url:
        began = time.monotonic()
        used = cpu_seconds()
        code = finish(start(name, python, url, n, folder), setting)
        seconds = time.monotonic() - began
        used = cpu_seconds() - used
        seen = stats(url)
    moments = sorted(seen["admitted"])
    tenth = len(seen["admitted"]) // 10
    steady = 8 * tenth / (moments[9 * tenth] - moments[tenth]) if tenth else 0.0
    busy = moments[-1] - moments[0] if moments else 0.0
    return {
        "contestant": name,
        "share of the cap": f"{steady / (setting.per_minute / 60):.1%}",
        "busy seconds": f"{busy:.1f}",
        "process seconds": f"{seconds:.1f}",
        "CPU seconds": f"{used:.1f}",
        **outcome(folder, n, code),
        **twice(seen),
        "over the cap": seen["over_cap"],
        "most in flight": seen["most_in_flight"],
    }


def finish(process: subprocess.Popen[bytes], setting: Setting) -> int:
    """The exit status; of one that takes five times what the cap allows, the kill's."""
    try:
        return process.wait(timeout=60 + 5 * setting.requests * 60 / setting.per_minute)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def outcome(folder: Path, n: int, code: int) -> Json:
    path = folder / "rows.jsonl"
    if not path.exists():
        return {
            "lost": "all (never ended)" if code == -signal.SIGKILL else f"all (exit {code})",
            "doubled": "–",
        }
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    right = Counter(number for number, text in rows if text == f"Answer to {question(number)[:40]}")
    return {"lost": n - len(right), "doubled": sum(right.values()) - len(right)}


def twice(seen: Json) -> Json:
    return {"billed twice": sum(count - 1 for count in seen["billed"].values())}


def interrupt(name: str, python: Path, setting: Setting, folder: Path) -> Json:
    """A run that is killed, and another that goes on."""
    n = setting.requests
    rng = random.Random(f"{setting.seed}/{name}")
    with scripted(setting) as url:
        first = start(name, python, url, n, folder)
        moment = rng.uniform(0.1, 0.9)
        while first.poll() is None and len(stats(url)["admitted"]) < moment * n:
            time.sleep(rng.uniform(0.1, 0.5))
        killed = time.monotonic()
        with suppress(ProcessLookupError):  # it had ended
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        while (between := stats(url))["in_flight"]:
            time.sleep(0.1)
        code = finish(start(name, python, url, n, folder), setting)
        after = stats(url)
    on_their_way = sum(when > killed - HANDLING_SECONDS for when in between["answered"].values())
    again = sum(after["received"][key] > between["received"][key] for key in between["billed"])
    return {
        "contestant": name,
        "paid before the kill": len(between["billed"]) - on_their_way,
        "paid and in flight": on_their_way,
        "paid and sent again": again,
        **twice(after),
        **outcome(folder, n, code),
    }


def make_environment(name: str, folder: Path) -> Path:
    """The Python of an environment with that peer; made where it is not there yet."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *ENVIRONMENTS[name]], check=True)
    return python


def versions(python: Path) -> list[str]:
    listed = subprocess.run(
        [python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True
    ).stdout
    names = ("aiohttp==", "bespokelabs-curator==", "distilabel==", "httpx2==", "openai==")
    return [line for line in listed.splitlines() if line.startswith(names)]


def table(title: str, rows: list[Json]) -> None:
    print(f"\n{title}\n\n| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(map(str, row.values()))} |", flush=True)


def run(options: argparse.Namespace, folder: Path) -> None:
    pythons = {name: Path(sys.executable) for name in options.contestants}
    for name in options.contestants:
        try:
            if name in ENVIRONMENTS:
                pythons[name] = make_environment(name, options.environments or folder)
        except subprocess.CalledProcessError as error:
            print(f"{name} does not install ({error}); left out")
            del pythons[name]
            continue
        print(f"{name}: {', '.join(versions(pythons[name]))}", flush=True)
    calm = Setting(options.requests, options.per_minute, options.seed, {})
    faulty = Setting(
        options.requests,
        options.per_minute,
        options.seed,
        {"429": 0.02, "5xx": 0.01, "malformed": 0.01, "silent": 0.001, "reset": 0.002},
    )
    rounds: list[tuple[str, Callable[[str, Path, Setting, Path], Json], Setting]] = [
        ("Faulty server", race, faulty),
        ("Server without faults", race, calm),
        ("kill -9, then again", interrupt, faulty),
    ]
    for number, (title, measure, setting) in enumerate(rounds):
        results = []
        for name, python in pythons.items():
            place = folder / f"{number}-{name}"
            place.mkdir(parents=True)
            results.append(measure(name, python, setting, place))
            print(results[-1], file=sys.stderr, flush=True)
        table(
            (
                f"{title}: {options.requests} requests, {options.per_minute} a minute, seed "
                f"{options.seed}"
            ),
            results,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--per-minute", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument(
        "--environments", type=Path, help="where the peers' environments are kept for another time"
    )
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as scratch:
        run(options, options.folder or Path(scratch))


if __name__ == "__main__":
    main()
