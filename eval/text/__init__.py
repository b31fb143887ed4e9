"""Text metrics of generated replies: overlap with the reference answer, entity graph, repetition.

They describe a text and say nothing of its truth: a fluent wrong answer scores well.
"""
