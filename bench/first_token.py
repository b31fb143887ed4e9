"""What retrieval adds before the first token, the longer context apart.

Run `STEMMA_DATA=folder python -m bench.first_token [FILE.gguf]`; without a file, SmolLM2 135M
Instruct. Passages are SciQ's supports (sciq/sft_sciq_with_support.first2000.jsonl), by BM25.

A question with retrieval costs search, putting in, and reading the prompt; without, reading a
prompt of the very same tokens. Both are timed for each question one after the other, so that the
load of the machine is the same; the ratio is the median over the questions, with its quartiles.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma.from_gguf.smollm2 import cache, fetch
from stemma.llama import Llama
from stemma.processes import cores
from stemma.recipe.prompts import PromptFiles
from stemma.retrieval.context import Contexts
from stemma.retrieval.passages import Passage
from stemma.retrieval.search import open_searcher
from stemma.templates import Template, question

QUESTIONS = 12
PASSAGES = 3
MAX_TOKENS = 512


def sciq(root: Path) -> Iterator[tuple[str, str]]:
    """Questions with their supports."""
    path = root / "sciq" / "sft_sciq_with_support.first2000.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        stem = row["prompt"].removeprefix("Question: ").partition("\nOptions:")[0]
        yield stem, row["completion"].partition("\nExplanation:")[2].strip()


def build(folder: Path, supports: Sequence[str]) -> None:
    with DatabaseWriter(folder, None, 10**9) as writer:
        writer.add(
            Passage(f"sciq-{number}", "", text, "sciq", "") for number, text in enumerate(supports)
        )
        writer.finish(BuildFacts("every support", {"sciq": "CC-BY-NC-3.0"}))


def main(arguments: Sequence[str]) -> None:
    path = Path(arguments[0]) if arguments else fetch(cache(os.environ))
    rows = list(sciq(Path(os.environ["STEMMA_DATA"])))
    supports = list(dict.fromkeys(support for _, support in rows if support.strip()))
    ratios = []
    added = []
    lengths = []
    with tempfile.TemporaryDirectory() as folder, Llama(path, 2048, cores()) as llama:
        build(Path(folder) / "database", supports)
        template = Template(
            str(llama.metadata("tokenizer.chat_template")), llama.token("bos"), llama.token("eos")
        )
        contexts = Contexts(
            PromptFiles().path("context"),
            lambda text: len(llama.tokenize(text)),
            MAX_TOKENS,
            llama.control_tokens(),
        )
        with open_searcher(Path(folder) / "database") as searcher:
            for asked, _ in rows[:QUESTIONS]:
                began = perf_counter()
                (hits,) = searcher.search([asked], PASSAGES)
                text = contexts.put(asked, hits).text
                ids = llama.tokenize(template.render(question(text), ask=True))
                before = perf_counter() - began
                reading = median(_first_token(llama, ids) for _ in range(2))
                ratios.append((before + reading) / reading)
                added.append(before)
                lengths.append(len(ids))
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    print(
        f"{path.name}: {middle:.4f} [{low:.4f}-{high:.4f}], {median(added) * 1e3:.1f} ms before "
        f"a prompt of {median(lengths):.0f} tokens, n = {QUESTIONS}, {len(supports):,} passages"
    )


def _first_token(llama: Llama, ids: Sequence[int]) -> float:
    began = perf_counter()
    next(llama.stream(ids, 1), None)
    return perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
