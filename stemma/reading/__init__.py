"""Rows of tables in files, and values of their columns, as the stages `data` and `rag` read
them."""
