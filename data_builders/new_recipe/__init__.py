"""A first recipe from somebody's own files: what `make new` looks at, guesses and writes."""
