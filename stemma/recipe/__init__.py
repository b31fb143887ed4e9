"""The recipe: strict models, the YAML reader, the checks, and the schema made of them."""
