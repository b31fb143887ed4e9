"""The licence of every installed package, by its own metadata. `make licences` prints them and
fails where one is not known.

    attrs   26.1.0   MIT
    chardet 6.0.0    GNU Lesser General Public License v2 or later (LGPLv2+)   copyleft
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions

from stemma.locked import canonical
from stemma.table import aligned
from stemma.visible import tell

UNKNOWN = "not known"
READ = {
    "cuda-toolkit": "NVIDIA Proprietary Software",
    "torchao": "BSD-3-Clause",
}
"""Licences of packages whose metadata say none, as their projects state them: cuda-toolkit is an
empty package that names NVIDIA's; torchao brings the text alone, without its name."""
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EUPL|CDDL|EPL|GNU|Mozilla)", re.IGNORECASE)
_NAMED = re.compile(
    r"(MIT License|The MIT License|Apache License|Apache Software License|BSD [23]-Clause"
    r"|BSD [23]-CLAUSE|GNU LESSER GENERAL PUBLIC LICENSE|GNU GENERAL PUBLIC LICENSE"
    r"|Mozilla Public License)[^\n]{0,20}"
)
"""The line by which a licence's text says what it is."""
_PREFIX = "License :: "
_SHORT = 60
"""Characters of a field that names a licence, at most; a longer one holds its text."""


def main() -> int:
    """Print the table; 1 where a licence is not known."""
    rows = sorted(set(table_rows(distributions())), key=lambda row: row[0])
    for line in aligned(("package", "version", "licence", ""), rows):
        tell(line)
    unknown = [row[0] for row in rows if row[2] == UNKNOWN]
    kinds = sum(row[3] == "copyleft" for row in rows)
    tell(f"\n{len(rows)} packages, {kinds} of them copyleft, {len(unknown)} of no known licence")
    if unknown:
        tell(
            f"not known: {', '.join(unknown)}\n  hint: look at their projects, and add what they "
            "state to READ in stemma/package_licences.py",
            file=sys.stderr,
        )
    return 1 if unknown else 0


def table_rows(packages: Iterable[Distribution]) -> Iterator[tuple[str, str, str, str]]:
    """Name, version, licence, and whether it asks to pass on the source."""
    for one in packages:
        name = canonical(one.metadata["Name"])
        licence = licence_of(one) or READ.get(name) or UNKNOWN
        yield name, one.version, licence, "copyleft" if COPYLEFT.search(licence) else ""


def licence_of(package: Distribution) -> str:
    """Its SPDX expression, else its classifiers, else the field, else what its text says it is."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classes = [
        text.removeprefix(_PREFIX)
        for text in metadata.get_all("Classifier") or []
        if text.startswith(_PREFIX)
    ]
    names = [text.removeprefix("OSI Approved :: ") for text in classes if text != "OSI Approved"]
    if names:
        return " and ".join(names)
    field = metadata["License"].strip() if "License" in metadata else ""
    if field and field.upper() != "UNKNOWN" and len(field) <= _SHORT and "\n" not in field:
        return field
    for text in (field, *_texts(package)):
        if found := _NAMED.search(text):
            return " ".join(found[0].split())
    return ""


def _texts(package: Distribution) -> Iterator[str]:
    for file in package.files or []:
        if "dist-info" in str(file) and re.search("LICEN|COPYING", file.name.upper()):
            yield file.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
