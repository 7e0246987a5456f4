"""Whether expressions name nodes that there are, and that have run by then."""

from collections.abc import Iterator
from typing import Any

import msgspec

from service.engine.definition import NodeDef
from service.engine.expressions import ExpressionError, node_references, shortened
from service.engine.graph import Graph
from service.engine.nodes.base import NodeType
from service.engine.validation.configuration import texts_in
from service.engine.validation.issues import Issue, error, meant


def check_references(node: NodeDef, node_type: NodeType[Any], graph: Graph) -> Iterator[Issue]:
    before = _before(node.id, graph)
    for field in msgspec.structs.fields(node_type.config):
        for path, text in texts_in(node.data.get(field.encode_name), f"data.{field.encode_name}"):
            for wanted in sorted(_named(text)):
                yield from _check_one(node, wanted, graph, before, path)


def _check_one(node: NodeDef, wanted: str, graph: Graph, before: set[str], path: str) -> Iterator[Issue]:
    if wanted not in graph.nodes:
        named = [one.id for one in graph.nodes.values() if one.name == wanted]
        hint = f" Nodes are named by id: {named[0]!r}." if named else meant(wanted, graph.nodes)
        yield error(
            "unknown_node", f"There is no node {shortened(wanted, 200)!r}.{hint}", node=node.id, field=path
        )
    elif wanted not in before:
        yield error(
            "not_before",
            f"{graph.nodes[wanted].label!r} does not run before {node.label!r}: it has given nothing then.",
            node=node.id,
            field=path,
        )
    elif not _is_seen(wanted, node.id, graph):
        yield error(
            "inside_loop",
            f"{graph.nodes[wanted].label!r} is inside a loop: what it gave comes out by the loop's 'done'.",
            node=node.id,
            field=path,
        )


def _named(text: str) -> set[str]:
    try:
        return node_references(text)
    except ExpressionError:
        return set()  # said by configuration.py


def _before(node_id: str, graph: Graph) -> set[str]:
    """Return what runs before a node: all that leads to it, and the bodies of loops that it comes after."""
    found: set[str] = set()
    waiting = [node_id]
    while waiting:
        at = waiting.pop()
        for connection in graph.incoming.get(at, ()):
            if connection.source not in found:
                found.add(connection.source)
                waiting.append(connection.source)
    enclosing = set(graph.enclosing(node_id))
    passed = found - enclosing
    return found | {one for one, scope in graph.scope_of.items() if scope in passed and one != node_id}


def _is_seen(wanted: str, node_id: str, graph: Graph) -> bool:
    """Return whether a node sees another's items: those of its own pass of a loop, and of what is around it."""
    scope = graph.scope_of[wanted]
    return not scope or scope in graph.enclosing(node_id)
