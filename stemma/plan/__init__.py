"""The plan: rows, steps, FLOPs, memory and disk of a recipe before anything runs."""
