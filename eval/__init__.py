"""The eval stage: every variant a user may ship, scored on every task, with intervals and per-sample files.

Each task is a module of `eval.tasks` with PART (the data set whose test part it reads), `measure` and `score`.
"""
