"""Stands in for the paid API: an OpenAI-compatible server on loopback with scripted answers and, if asked, faults."""
