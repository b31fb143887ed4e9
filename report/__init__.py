"""The report stage: what a run's manifests, histories, gates and scores say, as one page and one Markdown file.

Pure parts: `evidence` (what was found), `readable` (numbers for people), `tables`, `gates`, `curves`, `histograms`,
`lineage`, `chart` (SVG), `page` (the templates). `run` reads and writes a run, and `compare` draws two runs' preference
training on a page of its own.
"""
