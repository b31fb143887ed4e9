"""A machine other than the first, which joins the trainings that machine 0 starts.

Both read the same recipe and the same run folder, which the machines share. A machine joins only a
training of its own stage key, which says that both mean the same work: stale folders and other
recipes are waited out, not joined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma.chain import TRAINED, upstream
from stemma.errors import StageFailed
from stemma.freshness import holds
from stemma.jsonl import read_json
from stemma.keys import key_of
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run
from stemma.stages import BEGUN
from stemma.training import launch
from stemma.training.cluster import MEETING_SECONDS, Cluster
from stemma.training.completion import COMPLETED

LOOK_SECONDS = 1.0
"""Between two looks at what machine 0 has done."""
TELL_SECONDS = 60.0
"""Between two words to the user that it is still waiting."""


@dataclass(frozen=True)
class Waiting:
    """How long to wait for machine 0, and by which clock."""

    seconds: float = MEETING_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def joined_stages(stages: Sequence[str]) -> list[str]:
    """The stages a worker node takes part in: up to the last that trains.

    What comes later needs one machine only.
    """
    last = max((index for index, stage in enumerate(stages) if stage in TRAINED), default=-1)
    return list(stages[: last + 1])


@dataclass(frozen=True)
class WorkerNode:
    """One machine's part in a run."""

    recipe: Recipe
    run: Run
    cluster: Cluster
    say: Callable[[str], None]
    force: bool = False
    """As machine 0 was told: then a manifest from before is not the end of this work."""
    waiting: Waiting = Waiting()

    def join(self, stage: str) -> str:
        """Wait for the stage and take part in its training; returns `joined` or `up to date`.

        Raises StageFailed when machine 0 does not come, or the training fails.
        """
        before = self._manifest(stage)
        keys: dict[tuple[bytes, ...], str] = {}
        start = told = self.waiting.clock()
        while True:
            key = self._key(stage, keys)
            is_new = not self.force or self._manifest(stage) != before
            if key and is_new and holds(self.run, stage, key):
                return "up to date"
            if key and self._is_invited(stage, key):
                launch.join(self.run.folder(stage), self.cluster)
                return "joined"
            now = self.waiting.clock()
            if now - start > self.waiting.seconds:
                raise StageFailed(self._lost(stage))
            if now - told >= TELL_SECONDS:
                told = now
                self.say(f"waiting for machine 0 ({now - start:.0f} s)")
            self.waiting.sleep(LOOK_SECONDS)

    def _key(self, stage: str, known: dict[tuple[bytes, ...], str]) -> str | None:
        """The stage's key; None while machine 0 is still at what comes before.

        `known` holds keys by the manifests they rest on, so that the user's files, which may be
        large, are not hashed at every look.
        """
        done = tuple(self._manifest(name) for name in upstream(self.recipe, stage))
        if not all(done):
            return None
        if done not in known:
            known[done] = key_of(self.recipe, self.run, stage)
        return known[done]

    def _manifest(self, stage: str) -> bytes:
        path = self.run.folder(stage) / MANIFEST
        return path.read_bytes() if path.is_file() else b""

    def _is_invited(self, stage: str, key: str) -> bool:
        folder = self.run.folder(stage)
        begun = folder / BEGUN
        invitation = folder / launch.INVITATION
        if not begun.is_file() or not invitation.is_file() or read_json(begun)["key"] != key:
            return False
        # Machine 0 may have been killed after the training: what it left then invites to nothing.
        output = Path(read_json(invitation)["config"]["output_dir"])
        return not (output / COMPLETED).is_file()

    def _lost(self, stage: str) -> str:
        folder = self.run.folder(stage)
        if (folder / launch.INVITATION).is_file():
            return (
                f"machine 0 trains `{stage}` in {folder} from another recipe, other data or a "
                "checkout at another path than this machine; they must be the same"
            )
        return (
            f"machine 0 did not start `{stage}` in {self.waiting.seconds:.0f} s; is the same "
            f"command running there, and is {folder.resolve()} the same folder on both machines?"
        )
