"""Rehearsal: a recipe's whole chain, really run, small, on random weights of the model's true shapes."""
