"""The report stage: a run's manifests, histories, gates and scores on one page and in Markdown.

Pure parts: `run_data` (everything that was found), `readable` (numbers for people), `tables`,
`gates`, `curves`, `histograms`, `lineage`, `chart` (SVG), `page` (the templates). `run` reads and
writes a run, and `compare` draws two runs' preference training on a page of its own.
"""
