"""The meaning of each figure in one line: what it is measured on, and which way is better.

A metric that is not listed (of a benchmark, or of a later version) is shown all the same.
"""

from __future__ import annotations

TASKS = {
    "mcq": "Held-out multiple-choice questions. The model picks the letter it finds likeliest.",
    "preference": "Held-out pairs of a chosen and a rejected answer. A reward is β times the log-"
    "probability of the answer under the variant less that under the reference, over all its "
    "tokens.",
    "generation": "Answers that the variant wrote itself, greedily, to held-out questions with a "
    "known answer. One rule says right, wrong or undecided.",
    "divergence": "The first tokens of held-out chosen answers: next-token probabilities against "
    "merged's. How far the weights moved before any answer changed.",
    "speed": "This machine, one answer at a time, in a process of its own. In brackets the "
    "quartiles of the repeats.",
}
METRICS = {
    ("mcq", "accuracy"): "share of questions answered right; more is better",
    ("mcq", "chance"): "what guessing would give",
    ("mcq", "ties"): "share of questions on which letters tie for the highest score",
    ("preference", "reward_accuracy"): "share of pairs whose chosen answer has the higher reward",
    ("preference", "reward_margin"): "mean reward of the chosen answer less the rejected one's",
    ("preference", "ties"): "share of pairs with equal rewards; they count as wrong",
    ("preference", "chosen_reward"): "mean reward of the chosen answers",
    ("preference", "rejected_reward"): "mean reward of the rejected answers",
    ("preference", "log_prob_accuracy"): "the same as reward accuracy, without any reference",
    ("preference", "longer_accuracy"): "what always picking the longer answer would give",
    ("preference", "longer_accuracy_of_different"): "the same, of pairs whose lengths differ",
    ("generation", "accuracy"): "share of answers that are right; undecided ones are not",
    ("generation", "undecided"): "share of answers of which the rule cannot say",
    ("generation", "stopped"): "share of answers that ended by themselves",
    ("generation", "tokens"): "mean length of an answer, in tokens",
    ("mcq", "risk_area"): "mean share wrong if only the surest are answered, over all coverages; "
    "less is better",
    ("mcq", "risk_area_best"): "the same if every right answer were surer than every wrong one",
    ("divergence", "kl"): "mean KL(merged || variant) in nats, at least; 0 is the same model",
    ("divergence", "kl_p99"): "the same at the 99th percentile of positions",
    ("divergence", "kl_unseen"): "merged's probability of tokens that are lumped together",
    ("divergence", "top1_agreement"): "share of positions with the same likeliest token",
    ("speed", "first_token_seconds"): "seconds from the question to the answer's first token",
    ("speed", "size_bytes"): "size of the files on disk",
    ("speed", "peak_memory_bytes"): "the most memory the process held",
    ("speed", "load_seconds"): "seconds from the engine's import to the loaded model",
    ("speed", "prompt_tokens_per_second"): "tokens a second while reading a prompt",
    ("speed", "decode_tokens_per_second"): "tokens a second while writing",
}
REPEATED = {
    "_spread": "largest less smallest of all measurements of the same weights",
    "_unsteady": "rows that did not come out the same each time",
}
MINUS_MERGED = "_minus_merged"
P_VALUE = "_p"


def of_task(task: str) -> str:
    """What a task measures; empty of one that is not known here."""
    return TASKS.get(task, "")


def of_metric(task: str, metric: str) -> str:
    """What a metric says; empty of one that is not known here."""
    for ending, said in REPEATED.items():
        if metric.endswith(ending):
            return f"{said}: {metric.removesuffix(ending)}"
    plain, marker, rest = metric.partition(MINUS_MERGED)
    if not marker:
        return METRICS.get((task, metric), "")
    if rest.startswith(P_VALUE):
        return f"exact p-value of a paired test of no difference to merged in {plain}"
    return f"{plain} less that of merged, on the same rows" if not rest else ""
