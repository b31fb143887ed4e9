"""The eval stage: every variant a user may ship, scored on every task, with intervals.

Each task is a module of `eval.tasks`; each engine that runs weights is one of `eval.backends`.
"""
