"""n8n's connections, which are by name, kind and number.

{"A": {"main": [[{"node": "B", "type": "main", "index": 0}]]}} leads from the first output of A to the first input of B.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Link(NamedTuple):
    source: str
    target: str
    kind: str
    """main, or what a model, a memory or a tool is plugged in by."""
    output: int
    input: int


def read_links(connections: Any) -> list[Link]:
    """Return every connection that can be read, in order."""
    return list(_links(connections)) if isinstance(connections, dict) else []


def _links(connections: dict[str, Any]) -> Iterator[Link]:
    for source, kinds in connections.items():
        for kind, outputs in kinds.items() if isinstance(kinds, dict) else ():
            for number, targets in enumerate(outputs if isinstance(outputs, list) else ()):
                for target in targets if isinstance(targets, list) else ():
                    if isinstance(target, dict) and isinstance(target.get("node"), str):
                        place = target.get("index")
                        yield Link(
                            source, target["node"], kind, number, place if isinstance(place, int) else 0
                        )
