"""A count of the memory that tensors hold at one time, neither timed nor sampled."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Held(TorchDispatchMode):
    """`with Held() as held:` … then `held.most` is the peak.

    That is the bytes of tensors made meanwhile and alive at the same time.
    """

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
        known = [reference() for reference in self._made]
        alive = [tensor for tensor in known if tensor is not None]
        self._made = [weakref.ref(tensor) for tensor in alive]
        storages = [tensor.untyped_storage() for tensor in alive]
        self._at_most = sum({one.data_ptr(): one.nbytes() for one in storages}.values())
        self.most = max(self.most, self._at_most)
