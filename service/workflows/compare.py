"""What is different between two versions of a workflow, by node and by field.

A path is as long as the keys that it leads through, and there may be one for every leaf: how many are listed, and how
long they are, is bounded, so that a small workflow has no large comparison.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from service.engine.expressions import shortened

MAX_FIELDS = 200
"""Of one node."""
MAX_ALL_FIELDS = 2_000
"""Of all nodes together."""
_MAX_PATH_CHARS = 300


class ComparedNode(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    name: str


class ChangedNode(ComparedNode, frozen=True, kw_only=True):
    fields: list[str]
    """Paths of what is not the same: data.prompt, position.x, data.rules[1].output.

    Of many the first ones; the last entry then says how many there are besides: "and 17 more".
    """


class ComparedConnection(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    target: str
    source_handle: str
    target_handle: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """from one version to another: what has come, gone, and changed."""

    from_version: int
    to_version: int
    nodes_added: list[ComparedNode]
    nodes_removed: list[ComparedNode]
    nodes_changed: list[ChangedNode]
    connections_added: list[ComparedConnection]
    connections_removed: list[ComparedConnection]


def compare(old: tuple[int, Any, Any], new: tuple[int, Any, Any]) -> Comparison:
    """Compare (version, nodes, connections) with another."""
    before, after = _by_id(old[1]), _by_id(new[1])
    were, are = _connections(old[2]), _connections(new[2])
    return Comparison(
        from_version=old[0],
        to_version=new[0],
        nodes_added=[_named(node) for node_id, node in after.items() if node_id not in before],
        nodes_removed=[_named(node) for node_id, node in before.items() if node_id not in after],
        nodes_changed=list(_changed(before, after)),
        connections_added=_read(are - were),
        connections_removed=_read(were - are),
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> Iterator[ChangedNode]:
    left = MAX_ALL_FIELDS
    for node_id, node in after.items():
        if node_id not in before:
            continue
        found = _differences(before[node_id], node, None)
        fields = [_written(path) for path in islice(found, min(MAX_FIELDS, left))]
        left -= len(fields)
        if more := sum(1 for _ in found):
            fields.append(f"and {more:,} more")
        if fields:
            yield ChangedNode(**msgspec.structs.asdict(_named(node)), fields=fields)


def _by_id(nodes: Any) -> dict[str, dict[str, Any]]:
    listed = nodes if isinstance(nodes, list) else []
    return {str(node.get("id")): node for node in listed if isinstance(node, dict)}


def _named(node: dict[str, Any]) -> ComparedNode:
    return ComparedNode(
        id=str(node.get("id")), type=str(node.get("type", "")), name=str(node.get("name", ""))
    )


Edge = tuple[str, str, str, str]


def _connections(connections: Any) -> Counter[Edge]:
    listed = connections if isinstance(connections, list) else []
    return Counter(
        (
            str(one.get("source")),
            str(one.get("target")),
            str(one.get("sourceHandle") or "output"),
            str(one.get("targetHandle") or "input"),
        )
        for one in listed
        if isinstance(one, dict)
    )


def _read(edges: Counter[Edge]) -> list[ComparedConnection]:
    return [
        ComparedConnection(source=source, target=target, source_handle=leaves, target_handle=enters)
        for source, target, leaves, enters in edges.elements()
    ]


Path = tuple["Path | None", str | int]
"""Where it leads on from, and the key or the place there."""


def _differences(old: Any, new: Any, path: Path | None) -> Iterator[Path | None]:
    match old, new:
        case dict(), dict():
            for key in {**old, **new}:
                if key not in old or key not in new:
                    yield path, key
                else:
                    yield from _differences(old[key], new[key], (path, key))
        case list(), list() if len(old) == len(new):
            for place, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(one, other, (path, place))
        case _:
            if type(old) is not type(new) or old != new:
                yield path


def _written(path: Path | None) -> str:
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{shortened(step)}")
    return shortened("".join(reversed(steps)).removeprefix("."), _MAX_PATH_CHARS)
