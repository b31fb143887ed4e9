"""Variants behind OpenAI-compatible servers: replies by chat, log-probabilities by echoed text."""
