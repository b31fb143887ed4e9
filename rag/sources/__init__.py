"""Readers of documents, a module each kind."""
