"""Values where a text is wanted, and items that grow."""

from typing import Any, TypeAlias

import msgspec

from service.engine.nodes.base import Item

Text: TypeAlias = Any
"""A text in a configuration. An expression alone may give a number or an object: as_text writes it out."""

AS_TEXT = {"type": "string"}
"""How a field of Text is described to builders: Meta(extra_json_schema=AS_TEXT)."""


def as_text(value: Any) -> str:
    """Return a text as it is, nothing for null, and everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def with_fields(item: Item, **fields: Any) -> Item:
    """Return an item with more fields; one that is no object is found under "input"."""
    return (dict(item) if isinstance(item, dict) else {"input": item}) | fields
