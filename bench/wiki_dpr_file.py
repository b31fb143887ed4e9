"""wiki_dpr's file at size: rows as DPR wrote them, read and built into a database.

    python -m bench.wiki_dpr_file write 1000000 FILE     psgs_w100.tsv.gz of made words
    python -m bench.wiki_dpr_file read FILE              a fresh process: pace and memory of reading
    python -m bench.wiki_dpr_file build FILE FOLDER      and of a database without vectors

Each text has 100 words of `bench.retrieval` (Zipf, seed 42), three of them in doubled quotes, and a
tab in every tenth; titles with quotes in every twentieth.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import sys
import time
from pathlib import Path

from bench.retrieval import Made
from rag.corpus import Corpus
from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma.recipe.rag import RagSection

LIMIT_BYTES = 5_000_000_000


def row(number: int, text: str, title: str) -> str:
    """A line of the file: text in quotes, quotes in it doubled; a title in quotes where it has
    some."""
    first, second, rest = text.split(" ", 2)
    tab = "\t" if number % 10 == 0 else " "
    head = f'She said ""{first}""{tab}and {second}'
    named = f'"The ""{title}"""' if number % 20 == 0 else title
    return f'{number}\t"{head} {rest.rsplit(" ", 3)[0]}"\t{named}\n'


def write(count: int, path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=3, encoding="utf-8") as stream:
        stream.write("id\ttext\ttitle\n")
        for number, passage in enumerate(Made().passages(count), start=1):
            stream.write(row(number, passage.text, passage.title))


def corpus(path: Path) -> Corpus:
    section = RagSection.model_validate({"sources": [{"source": "wiki_dpr", "path": path.name}]})
    return Corpus(section, path.parent)


def read(path: Path) -> str:
    given = corpus(path)
    letters = sum(len(passage.text) for passage in given.passages())
    counts = given.read["wiki_dpr"]
    quoted = next(iter(corpus(path).passages())).text[:40]
    return (
        f"{counts.documents:,} rows, {counts.passages:,} passages, {letters:,} letters, "
        f"skipped {dict(counts.skipped)}; first: {quoted!r}"
    )


def build(path: Path, folder: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    with DatabaseWriter(folder, None, LIMIT_BYTES) as writer:
        counts = writer.add(corpus(path).passages())
        facts = writer.finish(BuildFacts("all", {}))
    return f"{facts.passages:,} passages, {facts.bytes / 1e6:,.0f} MB, {counts}"


def main(what: str, *values: str) -> None:
    begun, wall = time.process_time(), time.monotonic()
    said = ""
    if what == "write":
        write(int(values[0]), Path(values[1]))
    elif what == "read":
        said = read(Path(values[0]))
    else:
        said = build(Path(values[0]), Path(values[1]))
    seconds, waited = time.process_time() - begun, time.monotonic() - wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s of CPU, {waited:.0f} s by the clock, {memory:.0f} MB at most")
    print(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
