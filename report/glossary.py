"""The figures of the page in plain words, for who has never met them. Pure."""

from __future__ import annotations

from report.run_data import RunData
from report.tables import columns
from stemma.recipe.eval_tasks import BENCHMARK

ALWAYS = {
    "base, sft, dpo, mcq": "The model at the start and after each stage of training: sft learns "
    "from example answers, dpo from pairs of a better and a worse one, mcq from multiple-choice "
    "questions. The page shows the stages that this recipe has.",
    "merged": "The trained model in full size. Every other format is made from it, and held "
    "against it.",
    "bnb-…, gguf-…": "The same weights made smaller: bitsandbytes for GPUs, GGUF for llama.cpp on "
    "a laptop. The number says about how many bits a weight takes.",
    "held out": "Kept back from training, so that no figure is memory.",
    "n": "How many questions, pairs or repeats a figure is measured on. The more, the narrower its "
    "interval.",
    "95% interval [low–high]": "With other questions of the same kind the figure would most likely "
    "lie in this range. Where two ranges overlap widely the two may be equal.",
    "Δ": "The difference to merged on the very same questions, with its interval. If that spans "
    "zero, it may be none.",
    "chance": "What guessing would give: one of four choices is 0.25.",
}
COLUMNS = {
    ("mcq", "accuracy"): "Share of multiple-choice questions answered right; 1 is all of them.",
    ("preference", "reward_accuracy"): "Share of pairs in which the model, more than its "
    "reference, favours the answer that people or a rule marked as better. 0.50 is a coin.",
    ("preference", "reward_margin"): "By how much it favours that answer, in nats times beta. It "
    "has no natural scale: compare it within this page only.",
    (
        "generation",
        "accuracy",
    ): "Share of answers the model wrote itself that are right. Undecided: "
    "the rule could not tell.",
    ("text", "chrf"): "How like the expected text an answer is, by letters and words, 0 to 100. It "
    "does not know right from wrong.",
    ("speed", "size_bytes"): "What the file takes on disk.",
    ("speed", "prompt_tokens_per_second"): "Tokens read a second, on this machine. A token is "
    "about three quarters of an English word.",
    ("speed", "decode_tokens_per_second"): "Tokens written a second; about 10 is reading speed.",
    ("speed", "peak_memory_bytes"): "The most memory that the process held: what a laptop must "
    "have free.",
}
FURTHER = {
    "divergence": (
        "KL, top-1 as merged",
        "How far a format's next-word predictions moved from merged's: KL 0 and top-1 1.0 are no "
        "change at all.",
    ),
}
VERDICT = (
    "verdict",
    "non-inferior: shown to be no more than the margin worse than merged. Not shown: too few "
    "questions to tell. Worse, inferior: shown to be so.",
)
JUDGED = (
    "win rate",
    "Share of questions on which a judge finds this model's answer better; ties count half. 0.50 "
    "is no difference.",
)
BENCHMARKED = "Share of a standard benchmark's questions answered right."


def glossary(evidence: RunData) -> list[tuple[str, str]]:
    """Name and meaning of what the tables of this page show, in their order."""
    found = list(ALWAYS.items())
    for column in columns(evidence):
        said = COLUMNS.get((column.task, column.metric), "")
        if column.task.startswith(BENCHMARK):
            said = BENCHMARKED
        if said:
            found.append((column.title, said))
    tasks = {score.task for score in evidence.scores}
    if any(task.startswith("judge-") for task in tasks):
        found.append(JUDGED)
    found += [said for task, said in FURTHER.items() if task in tasks]
    return [*found, *([VERDICT] if evidence.verdicts else [])]
