"""Values written as YAML."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML


def to_yaml(values: dict[str, Any] | list[Any]) -> str:
    """Values as YAML in block style, in the order they are given."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
