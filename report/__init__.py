"""The report stage: what a run's manifests, histories, gates and scores say, as one page and one Markdown file.

Pure parts: `evidence` (what was found), `readable` (numbers for people), `tables`, `curves`, `lineage`, `chart` (SVG).
`run` is the only file that reads and writes.
"""
