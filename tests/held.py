"""How much memory tensors hold at one time: counted, not timed and not sampled."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Held(TorchDispatchMode):
    """`with Held() as held:` … `held.most`: bytes of tensors made meanwhile and alive at the same
    time, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._at_most = 0
        self._made: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        found = made if isinstance(made, tuple | list) else [made]
        tensors = [one for one in found if isinstance(one, torch.Tensor)]
        self._made += map(weakref.ref, tensors)
        self._at_most += sum(tensor.untyped_storage().nbytes() for tensor in tensors)
        if self._at_most > self.most:  # only then can this be a new peak: look who is still alive
            self._look()
        return made

    def _look(self) -> None:
        alive = [tensor for tensor in (reference() for reference in self._made) if tensor is not None]
        self._made = [weakref.ref(tensor) for tensor in alive]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in alive}
        self._at_most = sum(storages.values())
        self.most = max(self.most, self._at_most)
