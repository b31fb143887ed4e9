"""The page docs/reliability.md, and the pytest plugin that writes into it what was seen.

Only rows that were run get a new word; the others keep their last.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.files import write_text
from stemma.origin import git_commit, versions
from stemma.processes import cores
from tests.faults.rows import ROWS, Row, row_of

PAGE = ROOT / "docs" / "reliability.md"
NOT_RUN = "not run yet"
MACHINE = "Last run with"
"""The line on the software and the machine, which is read back like a row."""
HEAD = """\
# What a run survives

Stemma's stages may be stopped, starved and damaged at any moment. Each row is a promise, the test that shows it, and what that test saw when it last ran. `make faults` runs them all on the demo's finished run (`make demo` first; it takes an hour or two), and writes this page; `make faults QUICK=1` runs a few in minutes, as CI does, and prints them only. `ROWS="sft and kill"` chooses rows as pytest's `-k` does, `RUNS=folder` another finished demo.

- **Moments** are drawn by a seed (`FAULTS_SEED`, 15) over the seconds that the same stage took in peace just before (or in the demo itself, where it did the same, times `FAULTS_PACE`, 1). In each round (`FAULTS_ROUNDS`, 1) a stage is stopped in all three ways, one after the other in an order that is drawn too, each time in the middle of what the stop before left; then it may end. A stop that came too late, as the stage was done already, is not told. kill -9 and SIGTERM go to Stemma alone, Ctrl-C to its whole group, as from a terminal. Survivors are looked for among all processes by a variable they inherit, until there are none; a rank whose launcher was killed while it was still loading ends by itself as soon as it has loaded (some seconds; 48 s on two cores that six others used as well), before it trains.
- **The same outputs** means the same sha256 of every output in the manifest, weights included (float32, one thread a process, on one machine). Outputs that hold seconds or paths ({varying}) are there again, and not compared.
- **Sizes** are the demo's with six steps a training, two formats and eight rows a task.
- **Disks** are small file systems in a mount namespace; **no network** is a network namespace with loopback alone, whose kernel counts every attempt to reach an address without a route, by any process.
- What is not promised: that a disk keeps what it said it wrote (a power cut between `fsync` and the platter), equal weights on another machine, on GPUs or with other threads.
"""


def render(seen: dict[str, str]) -> str:
    """The whole page; `seen` by a row's name."""
    from tests.faults.bed import VARYING

    parts = [HEAD.replace("{varying}", ", ".join(f"`{name}`" for name in sorted(VARYING)))]
    for group in dict.fromkeys(row.group for row in ROWS):
        lines = [f"## {group}\n", "| row | promise | seen | test |", "|---|---|---|---|"]
        lines += [line(row, seen) for row in ROWS if row.group == group]
        parts.append("\n".join(lines) + "\n")
    parts.append(f"{MACHINE}: {seen.get(MACHINE, NOT_RUN)}.\n")
    return "\n".join(parts)


def line(row: Row, seen: dict[str, str]) -> str:
    test = row.test.partition("[")[0]
    return f"| {row.name} | {row.promise} | {seen.get(row.name, NOT_RUN)} | `{test}` |"


def read(text: str) -> dict[str, str]:
    """What was seen by the rows of a page."""
    found = re.findall(r"^\| (.+?) \| .+? \| (.+?) \| `tests/.+?` \|$", text, re.MULTILINE)
    found += re.findall(rf"^({MACHINE}): (.+)\.$", text, re.MULTILINE)
    return {name: said for name, said in found if said != NOT_RUN}


class Seen:
    """The outcomes of this session's rows, a word for each."""

    def __init__(self) -> None:
        self.commit = git_commit()[:7]
        self.words: dict[str, str] = {}
        self.cases: dict[str, list[str]] = {}

    def take(self, report: pytest.TestReport) -> None:
        row = row_of(report.nodeid)
        if row is None or not (report.when == "call" or report.outcome in ("skipped", "failed")):
            return
        if (report.when, report.outcome) == ("teardown", "passed"):
            return
        outcomes = self.cases.setdefault(row.name, [])
        outcomes.append(report.outcome)
        self.words[row.name] = one_line(self._word(report, outcomes))

    def _word(self, report: pytest.TestReport, outcomes: list[str]) -> str:
        told = [str(text) for name, text in report.user_properties if name == "seen"]
        if "failed" in outcomes:
            return f"**FAILED**, {outcomes.count('failed')} of {len(outcomes)} cases"
        if report.outcome == "skipped":
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            return f"not shown here: {reason or getattr(report, 'wasxfail', '')}"
        if told:
            return told[-1]
        count = outcomes.count("passed")
        return f"passed, {count} {'case' if count == 1 else 'cases'}"


def one_line(text: str) -> str:
    """Text as a cell of a table."""
    return " ".join(text.replace("|", "/").split())


SEEN = Seen()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    SEEN.take(report)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a quick run, only the rows for it."""
    if "FAULTS_QUICK" not in os.environ:
        return
    rows = {item: row_of(item.nodeid) for item in items}
    chosen = [item for item in items if (row := rows[item]) and row.quick]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_sessionfinish() -> None:
    """Write what was seen, where a page is asked for."""
    if "FAULTS_PAGE" not in os.environ or not SEEN.words:
        return
    page = Path(os.environ["FAULTS_PAGE"])
    known = read(page.read_text(encoding="utf-8")) if page.is_file() else {}
    today = datetime.now(timezone.utc).date().isoformat()
    fresh = {name: f"{today}, {SEEN.commit}: {said}" for name, said in SEEN.words.items()}
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    write_text(page, render(known | fresh | {MACHINE: f"{made}, on {cores()} cores"}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, words in SEEN.words.items():
        terminalreporter.write_line(f"{name}: {words}")
