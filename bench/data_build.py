"""Time and memory of the data stage on the data of gemma2b, without any API.

26,738 EPFL-shaped pairs and all other sources are built; then the tokenised preflight is compared
with Axolotl's own preprocessing of the same rows.

    .venv/bin/python -m bench.data_build [--data FOLDER] [--work FOLDER] [--limit 100000] [--rows
    5000]

FOLDER holds the files that recipes/gemma2b.yml names; without it, stand-ins of the real shapes and
sizes are written, of all but EPFL's at most `--limit` rows. `--rows` are compared in the preflight.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.stand_ins import write_stand_ins
from data_builders import SOURCES
from stemma import ROOT
from stemma.jsonl import read_json, read_rows, write_json, write_jsonl
from stemma.rows import SftRow
from stemma.templates import Template
from stemma.training.base import train_tokenizer
from stemma.training.rows import sample

VOCABULARY = 16_000
TEXTS = 8_000
TEMPLATE = "templates/qa.jinja"
MODEL = {
    "model_type": "gemma",
    "architectures": ["GemmaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
PREFLIGHT = """
import sys, time
from pathlib import Path
from stemma.jsonl import read_rows
from stemma.rows import SftRow
from stemma.templates import Template
from stemma.base_model.tokenizer import load_tokenizer
from stemma.training.rows import count, sample, tokenizing
begun = time.monotonic()
template, tokenize = Template.read(Path(sys.argv[1])), tokenizing(load_tokenizer(Path(sys.argv[2])))
samples = [sample(row, template) for row in read_rows(Path(sys.argv[3]), SftRow)]
counts = count(samples, tokenize, template.bos, template.stop(), 1024)
print(time.monotonic() - begun, counts)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("/tmp/stemma-bench"))
    parser.add_argument("--limit", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=5_000)
    given = parser.parse_args()
    data = given.data
    work = given.work
    if data is None:
        data = work / f"data-{given.limit}"
        if not data.is_dir():
            write_stand_ins(data, given.limit)
    recipe = write_recipe(work, data.resolve())
    measure_build(work, recipe)
    compare_preflight(work, given.rows)


def write_recipe(work: Path, data: Path) -> Path:
    """gemma2b without the sources that ask a generator.

    Its base model is one with a tokenizer of these very texts.
    """
    values = YAML(typ="safe").load(ROOT / "recipes" / "gemma2b.yml")
    values |= {"name": "bench", "base_model": str((work / "model").resolve())}
    del values["base_revision"]
    values["data"] |= {"root": str(data)}
    for name in ("sft", "dpo", "mcq"):
        sources = values["data"].get(name, {}).get("sources", [])
        values["data"][name]["sources"] = [
            s for s in sources if SOURCES[s["source"]].phase == "read"
        ]
    (work / "recipes").mkdir(parents=True, exist_ok=True)
    for folder in ("templates", "deepspeed"):
        shutil.copytree(ROOT / "recipes" / folder, work / "recipes" / folder, dirs_exist_ok=True)
    with (work / "recipes" / "bench.yml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(values, stream)
    write_model(work / "model", data / "epfl/preferences.json")
    return work / "recipes" / "bench.yml"


def write_model(folder: Path, epfl: Path) -> None:
    if (folder / "tokenizer.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [pair for question in read_json(epfl) for pair in question["preference"]]
    size = train_tokenizer([pair[pair["overall"]] for pair in pairs[:TEXTS]], VOCABULARY, folder)
    write_json(folder / "config.json", MODEL | {"vocab_size": size})


def measure_build(work: Path, recipe: Path) -> None:
    """The stage as a user runs it: a process of its own, its words timed as they come."""
    command = [
        sys.executable,
        "-m",
        "stemma",
        "data",
        str(recipe),
        "--force",
        "--runs",
        str(work / "runs"),
    ]
    begun = last = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            now = time.monotonic()
            print(f"{now - last:7.1f} s  {line.rstrip()}")
            last = now
    took = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(process.returncode)
    manifest = read_json(work / "runs/bench/data/manifest.json")
    rows = sum(counts["read"] for counts in manifest["counts"]["sources"].values())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    peak = used.ru_maxrss * 1024 / 1e6
    print(
        f"data stage: {took:.1f} s ({cpu:.1f} s of CPU) for {rows:,} rows read, peak {peak:,.0f} MB"
    )
    print(json.dumps(manifest["counts"]["sets"]))


def compare_preflight(work: Path, limit: int) -> None:
    """Rows a second of our proof and of `axolotl preprocess`.

    Each runs in a process, with and without what it takes to start.
    """
    rows = read_rows(work / "runs/bench/data/sft/train.jsonl", SftRow)[:limit]
    template = Template.read(ROOT / "recipes" / TEMPLATE)
    write_jsonl(work / "preflight/rows.jsonl", rows)
    write_jsonl(
        work / "preflight/axolotl.jsonl", (sample(row, template).axolotl("") for row in rows)
    )
    files = [
        ROOT / "recipes" / TEMPLATE,
        work / "model/tokenizer.json",
        work / "preflight/rows.jsonl",
    ]
    whole, output = timed([sys.executable, "-c", PREFLIGHT, *map(str, files)])
    ours = (whole, float(output.split()[0]))
    axolotl = preprocess(work)
    for name, (with_start, without) in {"preflight": ours, "axolotl preprocess": axolotl}.items():
        print(
            f"{name}: {len(rows) / with_start:,.0f} rows/s with start-up, "
            f"{len(rows) / without:,.0f} without"
        )
    print(
        f"ratio: {axolotl[0] / ours[0]:.1f} with start-up, {axolotl[1] / ours[1]:.1f} without (n "
        f"= {len(rows):,} rows)"
    )


def preprocess(work: Path) -> tuple[float, float]:
    """Seconds of `axolotl preprocess` in all, and from where it starts to read the rows."""
    folder = (work / "preflight").resolve()
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    dataset = {
        "path": str(folder / "axolotl.jsonl"),
        "ds_type": "json",
        "split": "train",
        "type": "input_output",
    }
    config: dict[str, Any] = {
        "base_model": str((work / "model").resolve()),
        "sequence_len": 1024,
        "dataset_num_proc": os.cpu_count(),
        "datasets": [dataset],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "learning_rate": 1e-4,
    }
    with (folder / "axolotl.yml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(config, stream)
    os.environ |= {
        "AXOLOTL_DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "prepared/cache"),
    }
    whole, output = timed(
        [str(Path(sys.executable).with_name("axolotl")), "preprocess", str(folder / "axolotl.yml")]
    )
    moments = re.findall(
        r"\[[\d-]+ (\d+):(\d+):([\d,]+)\].*(Loading raw|Success! Preprocessed)", output
    )
    (first, last) = (
        int(h) * 3600 + int(m) * 60 + float(s.replace(",", ".")) for h, m, s, _ in moments[:2]
    )
    return whole, last - first


def timed(command: Sequence[str]) -> tuple[float, str]:
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.monotonic() - begun, done.stdout + done.stderr


if __name__ == "__main__":
    main()
