"""The win rate: two variants' replies to the same questions, compared by a judge.

`run` does the work through the generator's one client and ledger; pairs, prompts, verdicts and
figures are pure. A person's verdicts have the same form as a model's.
"""
