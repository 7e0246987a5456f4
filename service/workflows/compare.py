"""What is different between two versions of a workflow, by node and by field."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec


class ComparedNode(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    name: str


class ChangedNode(ComparedNode, frozen=True, kw_only=True):
    fields: list[str]
    """Paths of what is not the same: data.prompt, position.x, data.rules[1].output."""


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
        nodes_changed=[
            ChangedNode(**msgspec.structs.asdict(_named(node)), fields=fields)
            for node_id, node in after.items()
            if node_id in before and (fields := list(_differences(before[node_id], node, "")))
        ],
        connections_added=_read(are - were),
        connections_removed=_read(were - are),
    )


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


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    match old, new:
        case dict(), dict():
            for key in {**old, **new}:
                inside = f"{path}.{key}" if path else key
                if key not in old or key not in new:
                    yield inside
                else:
                    yield from _differences(old[key], new[key], inside)
        case list(), list() if len(old) == len(new):
            for place, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(one, other, f"{path}[{place}]")
        case _:
            if type(old) is not type(new) or old != new:
                yield path
