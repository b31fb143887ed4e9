"""The contestants of `generator.py`.

They are programs that put the same questions to an OpenAI-compatible server.

Each runs as a process, in an environment that has its packages: `python contestants.py NAME URL
QUESTIONS FOLDER`. It may keep what it likes in the folder, for a second run after a kill, and ends
by writing `rows.jsonl`: `[number, text]`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CONCURRENCY = 64
TIMEOUT_SECONDS = 5
MODEL = "scripted"
Rows = dict[int, str | None]


def question(number: int) -> str:
    return f"Question {number}: what is {number} + {number}?"


def stemma(url: str, n: int, folder: Path) -> Rows:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from data_builders.flow import Draft, Drop, RowJob
    from stemma.generator.client import server_of
    from stemma.generator.jobs import Ask, ChatMessage, Writer
    from stemma.generator.runner import open_runner
    from stemma.recipe.generator import Generator

    def job(number: int) -> RowJob:
        async def ask(writer: Writer) -> Draft | Drop:
            reply = await writer.ask(Ask((ChatMessage("user", question(number)),), seed=1))
            return (
                Draft(str(number), "", {"text": reply.text})
                if not reply.problem
                else Drop("", reply.problem, {})
            )

        return ask

    settings = Generator(
        base_url=url,
        model=MODEL,
        api_key_env="BENCH_KEY",
        concurrency=CONCURRENCY,
        timeout_seconds=TIMEOUT_SECONDS,
    )
    with open_runner(settings, server_of(settings), folder / "ledger.sqlite", 1, print) as generate:
        items = list(generate([job(number) for number in range(n)]))
        print(generate.totals())
    return {int(item.where): item.row["text"] for item in items if isinstance(item, Draft)}


def plain(url: str, n: int, _folder: Path) -> Rows:
    """A client as one writes it in ten minutes.

    asyncio, a semaphore, and the client's own retries (10 instead of 2).
    """
    import openai

    async def main() -> Rows:
        client = openai.AsyncOpenAI(
            base_url=url, api_key="key", max_retries=10, timeout=TIMEOUT_SECONDS
        )
        semaphore = asyncio.Semaphore(CONCURRENCY)

        async def ask(number: int) -> str | None:
            async with semaphore:
                with suppress(openai.OpenAIError, ValueError, AttributeError):
                    messages: Any = [{"role": "user", "content": question(number)}]
                    reply = await client.chat.completions.create(
                        model=MODEL, messages=messages, max_tokens=512, seed=1
                    )
                    return reply.choices[0].message.content
            return None

        return dict(enumerate(await asyncio.gather(*map(ask, range(n)))))

    return asyncio.run(main())


def distilabel(url: str, n: int, folder: Path) -> Rows:
    os.environ["DISTILABEL_LOG_LEVEL"] = "WARNING"  # by default it writes three lines a request
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps.tasks import TextGeneration
    from pyarrow import parquet

    llm = OpenAILLM(
        model=MODEL,
        base_url=url,
        api_key="key",
        timeout=TIMEOUT_SECONDS,
        max_retries=10,
        generation_kwargs={"max_new_tokens": 512},
    )
    with Pipeline(name="bench", cache_dir=folder) as pipeline:
        TextGeneration(llm=llm, input_batch_size=CONCURRENCY)
    dataset = [{"number": number, "instruction": question(number)} for number in range(n)]
    try:
        pipeline.run(dataset=dataset, use_cache=True)
    except NotImplementedError as error:
        print(
            error
        )  # it cannot read its own files where all rows of a batch failed; each alone can be read
    files = folder.rglob("steps_outputs/text_generation_0/*.parquet")
    rows = [row for path in files for row in parquet.read_table(path).to_pylist()]
    return {row["number"]: row["generation"] for row in rows}


def curator(url: str, n: int, folder: Path) -> Rows:
    package = importlib.util.find_spec("litellm")
    assert package
    assert package.submodule_search_locations
    tokenizers = Path(package.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
    os.environ |= {
        "CURATOR_CACHE_DIR": str(folder),
        "TELEMETRY_ENABLED": "0",
        "CURATOR_DISABLE_RICH_DISPLAY": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "key",
        "TIKTOKEN_CACHE_DIR": str(tokenizers),  # it would download them
    }
    from bespokelabs import curator as peer

    class Asker(peer.LLM):  # type: ignore[misc, name-defined]
        def prompt(self, row: dict[str, Any]) -> str:
            return str(row["prompt"])

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"number": row["number"], "text": response}

    asker = Asker(
        model_name=MODEL,
        backend="openai",
        generation_params={"max_tokens": 512},
        backend_params={
            "base_url": url,
            "request_timeout": TIMEOUT_SECONDS,
            "require_all_responses": False,
        },
    )
    found = asker([{"number": number, "prompt": question(number)} for number in range(n)])
    return {row["number"]: row["text"] for row in found.dataset}


CONTESTANTS: dict[str, Callable[[str, int, Path], Rows]] = {
    "stemma": stemma,
    "plain": plain,
    "distilabel": distilabel,
    "curator": curator,
}


def main() -> None:
    name, url, count, folder = sys.argv[1:]
    rows = CONTESTANTS[name](url, int(count), Path(folder))
    (Path(folder) / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows.items())
    )


if __name__ == "__main__":
    main()
