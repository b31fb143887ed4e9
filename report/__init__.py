"""The report stage: a run's manifests, histories, gates, scores and samples on one page and as
files.

`run`, `samples` and `questions` read and write a run, and `compare` draws two runs' preference
training on a page of its own; all else is pure. `page.html.jinja`, `samples.html.jinja`,
`style.css` and `page.js` make the one file that needs no other.
"""
