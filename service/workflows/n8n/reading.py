"""stub"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Converted:
    name: str
    nodes: list[dict[str, Any]]
    connections: list[dict[str, Any]]
    settings: dict[str, Any] | None
    tags: list[str]
    notes: list[str]


def is_n8n(data: dict[str, Any]) -> bool:
    return isinstance(data.get("nodes"), list) and isinstance(data.get("connections"), dict)


def convert_workflow(data: dict[str, Any]) -> Converted:
    raise NotImplementedError
