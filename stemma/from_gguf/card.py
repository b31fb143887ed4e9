"""Origin of an imported folder: provenance for machines, and a model card for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stemma import __version__
from stemma.digests import digest_of
from stemma.from_gguf import Import
from stemma.from_gguf.header import GgufFile
from stemma.gate import Gate, recorded
from stemma.identity import PROVENANCE
from stemma.jsonl import write_json
from stemma.markdown import escaped, row
from stemma.yaml_text import to_yaml

CARD = """\
---
{front}
---
# {name}

This folder is [{file}](#where-it-comes-from), a GGUF file, written as a Hugging Face
model folder by Stemma's `import`. **It is not the original model**: the weights were
dequantised from {kinds} and rounded to {dtype}; what quantising lost stays lost.

## Where it comes from

| | |
|---|---|
| file | {file}, {size:,} bytes, sha256 `{sha256}` |
{header}
| stored as | {stored} |
| weights | {weights:,} |
| imported | {date}, Stemma {stemma}, llama-cpp-python {llama} |

## What was checked

{checks}
"""


def origin_of(order: Import, gguf: GgufFile) -> dict[str, Any]:
    """The folder's origin, as `provenance.json` tells it."""
    return {
        "file": order.source.name,
        "bytes": order.source.stat().st_size,
        "sha256": digest_of(order.source),
        "licence": str(order.licence or gguf.fields.get("general.license", "unknown")),
        "template": template_name(order),
        "header": {k: v for k, v in gguf.fields.items() if k.startswith("general.")},
        "stored_as": gguf.kinds(),
        "weights": gguf.weights(),
        "dtype": order.dtype,
        "stemma": __version__,
        "llama-cpp-python": version("llama-cpp-python"),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def template_name(order: Import) -> str:
    return order.template.name if order.template else "the header's"


def file_sizes(folder: Path) -> dict[str, int]:
    """The folder's files in bytes, without the provenance that holds this list."""
    return {
        path.name: path.stat().st_size
        for path in sorted(folder.iterdir())
        if path.name != PROVENANCE
    }


def write_card(folder: Path, origin: dict[str, Any], checks: Sequence[Gate]) -> None:
    """README.md, and last provenance.json."""
    (folder / "README.md").write_text(_card(origin, checks), encoding="utf-8")
    known = origin | {"checks": recorded(checks), "files": file_sizes(folder)}
    write_json(folder / PROVENANCE, known)


def _card(origin: dict[str, Any], checks: Sequence[Gate]) -> str:
    """The model card."""
    header = origin["header"]
    named = {k.removeprefix("general."): v for k, v in header.items() if k != "general.license"}
    front = {
        "license": origin["licence"].lower(),
        "library_name": "transformers",
        "tags": ["dequantised-from-gguf"],
    }
    return CARD.format(
        front=to_yaml(front).rstrip(),
        name=escaped(folder_title(header)),
        file=escaped(origin["file"]),
        size=origin["bytes"],
        sha256=origin["sha256"],
        kinds=" and ".join(origin["stored_as"]),
        dtype=origin["dtype"],
        header="\n".join(row([key.replace("_", " "), value]) for key, value in named.items()),
        stored=", ".join(f"{count} tensors {kind}" for kind, count in origin["stored_as"].items()),
        weights=origin["weights"],
        date=origin["date"],
        stemma=origin["stemma"],
        llama=origin["llama-cpp-python"],
        checks="\n".join(f"- {escaped(line)}" for line in [*checks, origin["left_out"]] if line),
    )


def folder_title(header: dict[str, Any]) -> str:
    """The model's name as its header has it."""
    return str(
        header.get("general.name") or header.get("general.basename") or "a model without a name"
    )
