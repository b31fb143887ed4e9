"""Base models that refuse what they do not know: of files, of rows, and of recipes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Record that cannot be changed.

    An unknown key is an error; values are read as JSON has them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class StrictRecord(Record):
    """Record whose values must have the very types of its fields: `"1"` is no integer."""

    model_config = ConfigDict(strict=True)
