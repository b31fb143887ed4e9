"""The stage `rag`: documents cut into passages, and a database of them."""
