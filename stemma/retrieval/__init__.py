"""Searching a database of passages on a CPU, without torch: what `rag` builds, `eval` and `serve`
read."""
