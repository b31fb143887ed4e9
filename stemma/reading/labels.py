"""The label of a choice as people write it: `c`, `C)`, `(C)`, `[c]`, `C.` and `Option C` mean C."""

from __future__ import annotations

import re

_WORD = re.compile(
    r"(?:option|answer|choice|alternative|antwort|lösung|loesung|réponse|reponse|choix|opción"
    r"|opcion|respuesta|opzione|risposta)\b\s*:?\s*(?=\S)",
    re.IGNORECASE,
)
_SIGNS = "()[]{}.:;, "


def bare_label(text: str) -> str:
    """The label without brackets, signs and the word before it, in capitals."""
    return _WORD.sub("", text.strip(_SIGNS), count=1).strip(_SIGNS).upper()
