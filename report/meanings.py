"""The meaning of each figure in one line: what it is measured on, and which way is better.

A metric that is not listed (of a benchmark, or of a later version) is shown all the same.
"""

from __future__ import annotations

from stemma.recipe.eval_tasks import BENCHMARK

TASKS = {
    "mcq": "Held-out multiple-choice questions. The model picks the option it finds likeliest: by "
    "its letter or its text, or with `formulation: cloze` by its text without having seen any.",
    "preference": "Held-out pairs of a chosen and a rejected answer. A reward is β times the log-"
    "probability of the answer under the variant less that under the reference, over all its "
    "tokens.",
    "generation": "Answers that the variant wrote itself, greedily, to held-out questions. "
    "Where the right answer is known, one rule says right, wrong or undecided.",
    "text": "How the generated answers are written, whether right or wrong, beside the test rows' "
    "own answers. Raw entity graphs rise with length, since n sentences can reach 1/2 + … + 1/n, "
    "and with repetition.",
    "divergence": "The first tokens of held-out chosen answers: next-token probabilities against "
    "merged's. How far the weights moved before any answer changed.",
    "retrieval": "The search alone, over questions whose own passage is known; a column is an arm "
    "of the search.",
    "judge": "One rating for each variant, over all judgings of this evaluation.",
    "speed": "This machine, one answer at a time, in a process of its own. In brackets the "
    "quartiles of the repeats.",
}
METRICS = {
    ("mcq", "accuracy"): "share of questions answered right; more is better",
    ("mcq", "normalised_accuracy"): "the same by log-probability a character of the option's text",
    ("mcq", "chance"): "what guessing would give",
    ("mcq", "majority_letter"): "what always saying the most frequent right letter would give",
    ("mcq", "longest_choice"): "what always picking the longest choice would give",
    ("mcq", "generated_accuracy"): "share of questions whose written answer names the right letter",
    (
        "mcq",
        "parse_failures",
    ): "share of written answers that name no one letter; they are wrong",
    ("mcq", "generated_stopped"): "share of written answers that ended by themselves",
    ("mcq", "permuted_accuracy"): "mean accuracy over all orders of the choices, the row's own too",
    ("mcq", "permutation_consistency"): "share of questions answered alike in all orders",
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
    ("generation", "empty"): "answers without a character that can be seen, of n",
    ("mcq", "risk_area"): "mean share wrong if only the surest are answered, over all coverages; "
    "less is better",
    ("mcq", "risk_area_best"): "the same if every right answer were surer than every wrong one",
    ("divergence", "kl"): "mean KL(merged || variant) in nats, at least; 0 is the same model",
    ("divergence", "kl_p99"): "the same at the 99th percentile of positions",
    ("divergence", "kl_unseen"): "merged's probability of tokens that are lumped together",
    ("divergence", "top1_agreement"): "share of positions with the same likeliest token",
    ("speed", "first_token_seconds"): "seconds from the question to the answer's first token",
    ("text", "bleu"): "words and runs of words in common with the row's own answer, 0 to 100",
    ("text", "chrf"): "characters and words in common with it (chrF++), 0 to 100",
    ("text", "words"): "mean length of the prose, in words",
    ("text", "sentences"): "mean length of the prose, in sentences",
    ("text", "entity_graph"): "sentences joined by the nouns they share, the nearer the more",
    ("text", "entity_graph_normalised"): "the same as a share of the most its length allows",
    ("text", "entity_graph_first_k"): "the same of the first k sentences, so of one length",
    ("text", "distinct_2"): "different word pairs among an answer's word pairs",
    ("text", "repeated_sentences"): "share of an answer's sentences that it said before",
    ("speed", "size_bytes"): "size of the files on disk",
    ("speed", "peak_memory_bytes"): "the most memory the process held",
    (
        "speed",
        "load_seconds",
    ): "seconds to load the weights, without the engine: median of five",
    ("speed", "first_load_seconds"): "seconds from the engine's import to the loaded model, once",
    ("speed", "prompt_tokens_per_second"): "tokens a second while reading a prompt",
    ("speed", "decode_tokens_per_second"): "tokens a second while writing",
}
JUDGE = {
    "win_rate": "won / (won + lost), a pair decided alike in both orders",
    "win_rate_bootstrap": "the same, its interval from resampled pairs",
    "win_rate_half_ties": "ties and disagreements count half",
    "win_rate_one_order": "as the reference report counts: each pair once, the reference first",
    "win_rate_length_controlled": "ties as half, at equal length; indicative under 200 questions",
    "sign_test_p": "exact p-value of the sign test, ties left out",
    "won": "share of pairs won in both orders",
    "lost": "share of pairs lost in both orders",
    "tied": "share of pairs tied in both orders",
    "disagreed": "share of pairs on which the two orders disagree",
    "invalid": "share of pairs without a verdict in some order",
    "identical": "share of pairs with equal answers: ties that nobody was asked about",
    "length_difference": "mean characters of the policy's answer less the reference's",
    "longer_wins": "share of decided pairs that the longer answer wins",
    "consistency": "share of pairs judged alike in both orders",
    "first_wins": "share of verdicts for the answer that was shown first",
    "invalid_verdicts": "share of verdicts that could not be had",
    "empty_replies": "replies of the judge without a character that can be seen, of n",
    "gold_agreement": "share of verdicts for the right answer where the other is wrong",
    "bradley_terry": "log-odds rating over all judgings, mean 0; one more wins 73 % of the pairs",
    "cost_usd": "dollars of the judging, whenever they were paid",
}
RISKS = {
    "risk_at_25%": "share wrong among the surest quarter of the answers",
    "risk_at_50%": "share wrong among the surest half of the answers",
    "risk_at_75%": "share wrong among the surest three quarters of the answers",
    "answered_at_threshold": "share of questions answered with the variant's own threshold",
    "risk_at_threshold": "share wrong among these",
    "answered_at_merged_threshold": "share of questions answered with merged's threshold",
    "risk_at_merged_threshold": "share wrong among these",
}
"""Of multiple choice, where the model answers only what it is sure of."""
BENCHMARKS = {
    "acc": "share of questions whose right choice is the likeliest",
    "acc_norm": "the same by log-probability a byte of the choice",
    "exact_match": "share of answers that are the expected one, as the filter reads them",
}
"""Figures of the harness that most benchmarks have."""
REPEATED = {
    "_spread": "largest less smallest of all measurements of the same weights",
    "_unsteady": "rows that did not come out the same each time",
}
RETRIEVAL = {
    "recall_at_1": "share of a question's own passages that come first",
    "recall_at_5": "share of a question's own passages among the first 5",
    "recall_at_10": "share of a question's own passages among the first 10",
    "mrr_at_10": "mean of 1 / rank of the first own passage; 0 below rank 10",
    "ndcg_at_10": "gain of own passages, less the lower they stand, of the best there could be",
    "cited": "share of replies that cite a passage they were given",
    "deletion_fall": "nats that a reply falls by when the passage it cites, or the first, is out",
    "deletion_fall_other": "the same when another passage is out: the control",
    "deletion_fall_minus_other": "what the cited passage weighs beyond any passage",
    "risk_area_by_score": "mean share wrong if only questions of the best search scores count",
    "risk_area_best_by_score": "the same if every right answer had a better score",
    "risk_at_25%_by_score": "share wrong among the quarter with the best search scores",
    "risk_at_50%_by_score": "share wrong among the half with the best search scores",
    "risk_at_75%_by_score": "share wrong among the three quarters with the best search scores",
}
"""Of questions asked with passages."""
AGAINST = {
    "closed_book": "the same weights asked closed-book",
    "random": "the same weights asked with passages by chance",
    "gold": "the same weights asked with the question's own passage",
    "bm25": "the search by BM25",
    "dense": "the search by vectors",
    "hybrid": "the search by both",
}
MINUS_MERGED = "_minus_merged"
P_VALUE = "_p"
HOLM = "_p_holm"


def of_task(task: str) -> str:
    """What a task measures; empty of one that is not known here."""
    if task.startswith(BENCHMARK):
        return "A standard benchmark through lm-evaluation-harness, by its own prompts and metrics."
    if task.startswith("judge-"):
        return "Both variants' answers to the same questions, compared by a judge in both orders."
    return TASKS.get(task, "")


def of_metric(task: str, metric: str) -> str:
    """What a metric says; empty of one that is not known here."""
    for ending, said in REPEATED.items():
        if metric.endswith(ending):
            return f"{said}: {metric.removesuffix(ending)}"
    if metric in RETRIEVAL:
        return RETRIEVAL[metric]
    for other, words in AGAINST.items():
        plain, marker, rest = metric.partition(f"_minus_{other}")
        if marker:
            told = f"{plain.replace('_', ' ')} less that of {words}, on the same rows"
            return {"": told, HOLM: f"p-value of it, corrected by Holm: {words}"}.get(
                rest, f"paired p-value of no difference to {words}"
            )
    plain, marker, rest = metric.partition(MINUS_MERGED)
    if not marker:
        # A judging has whatever name its recipe gives.
        if task.startswith(BENCHMARK):
            return BENCHMARKS.get(metric.partition(":")[0], "")
        others = RISKS if task in TASKS and task != "judge" else JUDGE
        return METRICS.get((task, metric), others.get(metric, ""))
    told = plain.replace("_", " ")
    if rest == HOLM:
        return "the same p-value, corrected by Holm for all variants of the task"
    if rest == P_VALUE:
        return f"exact p-value of a paired test of no difference to merged in {told}"
    return f"{told} less that of merged, on the same rows" if not rest else ""
