"""What a machine other than the first does: it joins the trainings machine 0 starts, and leaves the rest to it.

Both read the same recipe and the same run folder, which the machines share. A stage's key says that both mean the same
work: a machine joins only what has its own key, so stale folders and other recipes are waited out, not joined.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma.errors import StageFailed
from stemma.jsonl import read_json
from stemma.keys import key_of, upstream
from stemma.processes import COMPLETED
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run
from stemma.stages import BEGUN, TRAINED, has
from stemma.training import launch
from stemma.training.cluster import MEETING_SECONDS, Cluster

LOOK_SECONDS, TELL_SECONDS = 1.0, 60.0


@dataclass(frozen=True)
class Patience:
    """How long to wait, and by which clock."""

    seconds: float = MEETING_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def shared(stages: Sequence[str]) -> list[str]:
    """The stages a follower sees through: up to the last that trains. What comes later needs one machine only."""
    last = max((index for index, stage in enumerate(stages) if stage in TRAINED), default=-1)
    return list(stages[: last + 1])


@dataclass(frozen=True)
class Follower:
    """One machine's part in a run. `force` as machine 0 was told: then a manifest from before is not the work's end."""

    recipe: Recipe
    run: Run
    cluster: Cluster
    say: Callable[[str], None]
    force: bool = False
    patience: Patience = Patience()

    def see_through(self, stage: str) -> str:
        """`joined` its training, or `up to date`. Raises StageFailed when machine 0 does not come or training fails."""
        before, keys = self._manifest(stage), dict[tuple[bytes, ...], str]()
        start = told = self.patience.clock()
        while True:
            key = self._key(stage, keys)
            if key and has(self.run, stage, key) and (not self.force or self._manifest(stage) != before):
                return "up to date"
            if key and self._is_invited(stage, key):
                launch.join(self.run.folder(stage), self.cluster, self.say)
                return "joined"
            now = self.patience.clock()
            if now - start > self.patience.seconds:
                raise StageFailed(self._lost(stage))
            if now - told >= TELL_SECONDS:
                told = now
                self.say(f"waiting for machine 0 ({now - start:.0f} s)")
            self.patience.sleep(LOOK_SECONDS)

    def _key(self, stage: str, known: dict[tuple[bytes, ...], str]) -> str | None:
        """None while machine 0 is still at what comes before. `known` by the manifests it rests on: the user's files,
        which may be large, are not hashed at every look."""
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
        begun, invitation = folder / BEGUN, folder / launch.INVITATION
        if not begun.is_file() or not invitation.is_file() or read_json(begun)["key"] != key:
            return False
        # Machine 0 was killed behind the training: the invitation it left is to nothing.
        return not (Path(read_json(invitation)["config"]["output_dir"]) / COMPLETED).is_file()

    def _lost(self, stage: str) -> str:
        folder = self.run.folder(stage)
        if (folder / launch.INVITATION).is_file():
            return (
                f"machine 0 trains `{stage}` in {folder} from another recipe, other data or a checkout at another path "
                "than this machine; they must be the same"
            )
        return (
            f"machine 0 did not start `{stage}` in {self.patience.seconds:.0f} s; is the same command running there, "
            f"and is {folder.resolve()} the same folder on both machines?"
        )
