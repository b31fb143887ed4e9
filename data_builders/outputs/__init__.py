"""A finished build on disk: rows, figures, the data set card, licences."""
