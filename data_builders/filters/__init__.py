"""Filters of rows: damaged text, near-duplicates, and evaluation questions in training rows."""
