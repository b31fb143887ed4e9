"""Rehearsals: a recipe's whole chain, really run, small, on random weights of true shapes."""
