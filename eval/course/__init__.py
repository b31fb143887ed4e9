"""Grading on a university course's own files: its questions and pairs in, its `metrics.json` out.

The formats are those of the 2024 project of EPFL's course Modern Natural Language Processing
(CS-552): the evaluator reads `main_config.yaml` and one JSON Lines file, and writes `metrics.json`.
"""
