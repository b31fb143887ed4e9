"""Data sources, one file each. Each shows a real example row and defines `SOURCE`: the sets it can
fill, when it runs, its licence, its options and `read`."""
