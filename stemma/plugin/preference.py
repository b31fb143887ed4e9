"""DPO's loss (arXiv:2305.18290, equation 7) and metrics, from the scores of the answers' tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from stemma.plugin.logps import Head, Scores, score_tokens


class Pairs(NamedTuple):
    """A batch's pairs, scored."""

    chosen: Tensor
    """Summed log-probabilities of the chosen answers [pairs]."""
    rejected: Tensor
    scores: Scores
    """Of all answer tokens [2 pairs, tokens]; 0 elsewhere."""
    mask: Tensor
    """Which tokens [2 pairs, tokens] belong to an answer."""


def before_answers(batch: dict[str, Tensor]) -> Tensor:
    """The places [2 pairs, width - 1] whose next token belongs to an answer."""
    return batch["completion_mask"][:, 1:].bool()


def score_pairs(
    states: Tensor, batch: dict[str, Tensor], head: Head, measure: bool = True
) -> Pairs:
    """Scores of a batch of TRL's collator: first all chosen, then all rejected.

    `states` are the hidden states at the places `before_answers` [places, hidden].
    """
    mask = before_answers(batch)
    targets = batch["input_ids"][:, 1:][mask]
    scores = score_tokens(states, targets, head, measure)
    nothing = torch.zeros(mask.shape, device=mask.device)
    spread = Scores(*(nothing.masked_scatter(mask, one.float()) for one in scores))
    chosen, rejected = spread.logps.sum(1).chunk(2)
    return Pairs(chosen, rejected, spread, mask)


def sigmoid_loss(policy: Pairs, reference: tuple[Tensor, Tensor], beta: float) -> Tensor:
    """The mean over the pairs of -log sigmoid(beta (chosen - rejected)).

    chosen and rejected are log(policy / reference) of the answers; `reference` holds the
    reference's log-probabilities of both [pairs].
    """
    chosen = policy.chosen - reference[0]
    rejected = policy.rejected - reference[1]
    return -logsigmoid(beta * (chosen - rejected)).mean()


def measurements(
    policy: Pairs, reference: tuple[Tensor, Tensor], beta: float, tokens: Tensor
) -> dict[str, Tensor]:
    """Figures of each pair [pairs] whose sums over all ranks give the `metrics`.

    `tokens` counts those of each pair's two sequences [pairs].
    """
    chosen = beta * (policy.chosen - reference[0])
    rejected = beta * (policy.rejected - reference[1])
    chosen_count, rejected_count = policy.mask.sum(1).float().chunk(2)
    chosen_logit, rejected_logit = policy.scores.mean_logit.sum(1).chunk(2)
    chosen_entropy, rejected_entropy = policy.scores.entropy.sum(1).chunk(2)
    chosen_top, _ = policy.scores.is_top.sum(1).chunk(2)
    figures = {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/accuracies": (chosen > rejected).float(),
        "rewards/margins": chosen - rejected,
        "logps/chosen": policy.chosen,
        "logps/rejected": policy.rejected,
        "chosen_count": chosen_count,
        "rejected_count": rejected_count,
        "chosen_logit": chosen_logit,
        "rejected_logit": rejected_logit,
        "entropy": chosen_entropy + rejected_entropy,
        "top": chosen_top,
        "pairs": torch.ones_like(chosen),
        "tokens": tokens,
    }
    return {name: values.detach() for name, values in figures.items()}


def metrics(sums: dict[str, float]) -> dict[str, float]:
    """TRL's metrics, under its names, from the sums of `measurements`."""

    def share(name: str, *of: str) -> float:
        count = sum(sums[part] for part in of)
        return sums[name] / count if count else 0.0

    per_pair = {name: share(name, "pairs") for name in sums if "/" in name}
    return per_pair | {
        "logits/chosen": share("chosen_logit", "chosen_count"),
        "logits/rejected": share("rejected_logit", "rejected_count"),
        "entropy": share("entropy", "chosen_count", "rejected_count"),
        "mean_token_accuracy": share("top", "chosen_count"),
    }
