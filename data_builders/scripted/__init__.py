"""A stand-in for the paid API: an OpenAI-compatible server on loopback, with scripted answers.

If asked, it is slow, refuses and breaks, as real servers do.
"""
