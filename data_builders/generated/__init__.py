"""Rows that a chat model writes: prompts, preference pairs, and the judge between two answers."""
