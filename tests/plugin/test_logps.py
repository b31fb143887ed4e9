"""Log-probabilities under a frozen head, against torch's own on whole rows of logits."""

from __future__ import annotations

import pytest
import torch

from stemma.plugin import logps
from stemma.plugin.logps import Head, Scores, score_tokens


def plain(hidden: torch.Tensor, targets: torch.Tensor, head: Head) -> Scores:
    """The same figures by definition."""
    logits = torch.nn.functional.linear(hidden, head.weight, head.bias)
    if head.cap:
        logits = head.cap * torch.tanh(logits / head.cap)
    logs = logits.log_softmax(-1)
    entropy = -(logs.exp() * logs).sum(-1)
    return Scores(
        logs.gather(1, targets[:, None])[:, 0],
        entropy,
        logits.mean(-1),
        logits.argmax(-1) == targets,
    )


def make(
    rows: int, head_bias: bool = False, cap: float | None = None
) -> tuple[torch.Tensor, torch.Tensor, Head]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1000, 8, generator=generator, dtype=torch.float64)
    bias = torch.randn(1000, generator=generator, dtype=torch.float64) if head_bias else None
    targets = torch.randint(1000, (rows,), generator=generator)
    with torch.no_grad():
        targets[::2] = torch.nn.functional.linear(hidden[::2], weight, bias).argmax(
            -1
        )  # so that some are the top one
    return hidden, targets, Head(weight, bias, cap)


def test_by_hand() -> None:
    # Logits 1 and 0: p = e/(e+1) = 0.731; entropy 0.5823 nats; the gradient is w_y - p w_0 - (1-p)
    # w_1 = 1 - 0.731.
    hidden = torch.tensor([[1.0]], requires_grad=True)
    scores = score_tokens(hidden, torch.tensor([0]), Head(torch.tensor([[1.0], [0.0]])))
    scores.logps.sum().backward()
    assert scores.logps.item() == pytest.approx(-0.313262, abs=1e-6)
    assert (scores.entropy.item(), scores.mean_logit.item()) == pytest.approx(
        (0.582203, 0.5), abs=1e-6
    )
    assert scores.is_top.tolist() == [True]
    assert hidden.grad is not None
    assert hidden.grad.item() == pytest.approx(0.268941, abs=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 7])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cap", [None, 3.0])
def test_equals_torch(
    monkeypatch: pytest.MonkeyPatch, rows: int, bias: bool, cap: float | None
) -> None:
    monkeypatch.setitem(
        logps.ROWS, "cpu", 3
    )  # several blocks of rows, several tiles, the last ones narrower
    monkeypatch.setitem(logps.TILE_BYTES, "cpu", 1)
    hidden, targets, head = make(rows, bias, cap)
    scores, expected = score_tokens(hidden, targets, head), plain(hidden, targets, head)
    for ours, theirs in zip(scores[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert scores.is_top.tolist() == expected.is_top.tolist()
    weights = torch.arange(1.0, rows + 1, dtype=torch.float64)
    [gradient] = torch.autograd.grad((scores.logps * weights).sum(), hidden)
    [wanted] = torch.autograd.grad((expected.logps * weights).sum(), hidden)
    torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-10)


def test_without_a_gradient_nothing_is_kept() -> None:
    hidden, targets, head = make(5)
    with torch.no_grad():
        scores = score_tokens(hidden.detach(), targets, head, measure=False)
    torch.testing.assert_close(scores.logps, plain(hidden, targets, head).logps.detach())
    assert not scores.logps.requires_grad


def test_no_tokens_at_all() -> None:
    _, _, head = make(1)
    scores = score_tokens(
        torch.zeros(0, 8, dtype=torch.float64), torch.zeros(0, dtype=torch.long), head
    )
    assert [len(values) for values in scores] == [0, 0, 0, 0]


def test_half_precision_is_summed_in_fp32() -> None:
    hidden, targets, head = make(50)
    small, weight = hidden.detach().bfloat16(), head.weight.bfloat16()
    scores = score_tokens(small, targets, Head(weight))
    assert scores.logps.dtype == torch.float32
    exact = plain(small.double(), targets, Head(weight.double())).logps
    assert (scores.logps - exact).abs().max() < 1e-5


def test_large_logits_do_not_overflow() -> None:
    head = Head(torch.tensor([[1e4], [-1e4], [0.0]]))
    scores = score_tokens(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 2]), head)
    assert scores.logps.tolist() == [0.0, -1e4]
    assert scores.entropy.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_tile_of_the_head_is_cast_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Few rows make small tiles of logits, but each pulls a slice of the head in fp32: whole, it is
    2 GB of Gemma's."""
    widths: list[int] = []
    multiply = logps._multiply

    def watched(out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, add: bool) -> None:
        widths.append(max(right.shape))
        multiply(out, left, right, add)

    monkeypatch.setattr(logps, "_multiply", watched)
    monkeypatch.setitem(logps.TILE_BYTES, "cpu", 4 * 300 * 8)  # 300 rows of a head 8 wide
    hidden, targets, head = make(rows)
    exact = score_tokens(hidden.float(), targets, Head(head.weight.bfloat16().float()))
    assert max(widths) > 300, "nothing is cast"
    widths.clear()
    scores = score_tokens(hidden.float(), targets, Head(head.weight.bfloat16()))
    assert set(widths) == {300, 100}
    torch.testing.assert_close(scores.logps, exact.logps, atol=0.05, rtol=0.05)
