"""Log-probabilities of given tokens under a frozen head, in fp32, without a whole row of logits.

log p(y|h) = z_y - log sum_v exp z_v, with z = W h + b; Gemma 2 caps the logits: z <- c tanh(z/c)
(arXiv:2408.00118). Its gradient is d_y w_y - sum_v p_v d_v w_v, with d = 1 - (z/c)^2 (1 without a
cap). Both sums run over tiles of the vocabulary under a running maximum (arXiv:1805.02867), as
attention runs over keys (arXiv:2112.05682): p W is attention whose keys and values are the head. So
the forward pass already holds the gradient, backward is one product, and the head is read once a
pass and needed no more afterwards (ZeRO-3 may take it away). The head gets no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

ROWS = {"cpu": 1024, "cuda": 4096}
TILE_BYTES = {"cpu": 8 << 20, "cuda": 256 << 20}
"""Rows of hidden states at once, and bytes of fp32 logits at once, by device.

A CPU's cache, a small part of a GPU's memory.
"""
LOWEST = -1e30


@dataclass(frozen=True)
class Head:
    """The frozen output layer: [vocabulary, hidden]."""

    weight: Tensor
    bias: Tensor | None = None
    cap: float | None = None
    """Of Gemma 2's logits."""


class Scores(NamedTuple):
    """Figures of each token [n], all measured in one pass. Only `logps` can be differentiated."""

    logps: Tensor
    """Its log-probability, in nats."""
    entropy: Tensor
    """Of the prediction it was drawn from."""
    mean_logit: Tensor
    """Over the vocabulary."""
    is_top: Tensor
    """Whether no other token was likelier."""


def score_tokens(hidden: Tensor, targets: Tensor, head: Head, measure: bool = True) -> Scores:
    """Scores of the `targets` [n] that follow the `hidden` states [n, hidden].

    Only `logps` unless `measure`.
    """
    wants = (measure, hidden.requires_grad and torch.is_grad_enabled())
    with torch.autocast(hidden.device.type, enabled=False):
        return Scores(*_FrozenHead.apply(hidden, targets, head, wants))


class _FrozenHead(torch.autograd.Function):
    """The scan as torch differentiates it: the gradient is computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, targets: Tensor, head: Head, wants: tuple[bool, bool]
    ) -> tuple[Tensor, ...]:
        measure, differentiate = wants
        rows = ROWS[hidden.device.type]
        scans = []
        for some, target in zip(hidden.split(rows), targets.split(rows), strict=True):
            scan = _Scan(some.to(head.weight.dtype), target, head)
            scans.append(scan.run(measure, differentiate))
        parts = zip(*(scan.scores() for scan in scans), strict=True)
        scores = tuple(torch.cat(part) for part in parts)
        if differentiate:
            ctx.save_for_backward(torch.cat([scan.slope() for scan in scans]))
            ctx.dtype = hidden.dtype
        ctx.mark_non_differentiable(*scores[1:])
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return (slope * gradients[0][:, None]).to(ctx.dtype), None, None, None


class _Scan:
    """One pass over the vocabulary, tile by tile, for n rows of hidden states.

    All sums are of exp(z - maximum), with each row's maximum so far.
    """

    def __init__(self, hidden: Tensor, targets: Tensor, head: Head) -> None:
        self.hidden = hidden
        self.targets = targets
        self.head = head
        self.exact = torch.promote_types(hidden.dtype, torch.float32)
        zero = hidden.new_zeros(len(hidden), dtype=self.exact)
        self.target = zero.clone()  # the targets' logits
        self.maximum = zero + LOWEST
        self.total = zero.clone()  # sum exp(z - maximum)
        self.weighted = zero.clone()  # sum exp(z - maximum) (z - maximum), for the entropy
        self.plain = zero.clone()  # sum z
        self.pulled: Tensor | None = None  # sum exp(z - maximum) d w [n, hidden], for the gradient

    def run(self, measure: bool, differentiate: bool) -> _Scan:
        """Scan the whole head; returns itself."""
        if differentiate:
            self.pulled = torch.zeros_like(self.hidden, dtype=self.exact)
        vocabulary = len(self.head.weight)
        budget = TILE_BYTES[self.hidden.device.type] // self.exact.itemsize
        # Of few rows the logits alone would allow a tile of the whole head, which a CPU casts to
        # fp32: 2 GB of Gemma's.
        rows, size = self.hidden.shape
        longest = max(rows, size if self._is_cast() else 1)
        width = min(max(budget // longest, 256), vocabulary)
        buffers = self.hidden.new_empty((2, rows * width), dtype=self.exact)
        for start in range(0, vocabulary, width):
            self._tile(slice(start, min(start + width, vocabulary)), buffers, measure)
        return self

    def _is_cast(self) -> bool:
        """Whether a tile of the head is copied in another dtype (`_multiply`)."""
        weight = self.head.weight
        return weight.dtype != self.exact and not weight.is_cuda

    def _tile(self, where: slice, buffers: Tensor, measure: bool) -> None:
        """Add the tokens `where` of the vocabulary to all sums."""
        shape = len(self.hidden), where.stop - where.start
        logits, powers = (buffer[: shape[0] * shape[1]].view(shape) for buffer in buffers)
        self._logits(where, logits)
        self._take_targets(where, logits)
        if measure:
            self.plain += logits.sum(1)
        maximum = torch.maximum(self.maximum, logits.amax(1))
        # What was summed so far is of the old maximum: multiplied by exp(fall), it is of the new.
        fall = self.maximum - maximum
        torch.exp(logits.sub_(maximum[:, None]), out=powers)
        if measure:
            dot = torch.bmm(powers[:, None, :], logits[:, :, None]).flatten()
            self.weighted = (self.weighted + self.total * fall) * fall.exp() + dot
        self.total = self.total * fall.exp() + powers.sum(1)
        if self.pulled is not None:
            if self.head.cap:
                powers.mul_(1 - (logits.add_(maximum[:, None]) / self.head.cap).square_())
            self.pulled.mul_(fall.exp()[:, None])
            _multiply(self.pulled, powers, self.head.weight[where], add=True)
        self.maximum = maximum

    def _logits(self, where: slice, out: Tensor) -> None:
        """Write the tile's logits, capped where the model caps them, into `out`."""
        head = self.head
        if head.bias is not None:
            out.copy_(head.bias[where].expand_as(out))
        _multiply(out, self.hidden, head.weight[where].T, add=head.bias is not None)
        if head.cap:
            out.div_(head.cap).tanh_().mul_(head.cap)

    def _take_targets(self, where: slice, logits: Tensor) -> None:
        """Keep the logits of the targets that lie in this tile."""
        inside = (self.targets >= where.start) & (self.targets < where.stop)
        columns = (self.targets - where.start).clamp(0, logits.shape[1] - 1)
        self.target = torch.where(inside, logits.gather(1, columns[:, None])[:, 0], self.target)

    def scores(self) -> Scores:
        entropy = self.total.log() - self.weighted / self.total
        logps = self.target - self.maximum - self.total.log()
        mean_logit = self.plain / len(self.head.weight)
        return Scores(logps, entropy, mean_logit, is_top=self.target >= self.maximum)

    def slope(self) -> Tensor:
        """The gradient of `logps` with respect to the hidden states [n, hidden]."""
        assert self.pulled is not None
        own = self.head.weight[self.targets].to(self.exact)
        if self.head.cap:
            own *= (1 - (self.target / self.head.cap).square())[:, None]
        return own.sub_(self.pulled / self.total[:, None])


def _multiply(out: Tensor, left: Tensor, right: Tensor, add: bool) -> None:
    """out = left @ right, or out += it: summed and kept in fp32 whatever the factors' dtype."""
    if right.dtype != out.dtype and right.is_cuda:
        product = torch.mm(left.to(right.dtype), right, out_dtype=out.dtype)
        out.add_(product) if add else out.copy_(product)
    else:
        out.addmm_(left.to(out.dtype), right.to(out.dtype), beta=int(add))
