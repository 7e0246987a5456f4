"""Connections: whether they lead from what is there to what is there, by handles that there are."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.engine.definition import ERROR, ConnectionDef, Definition, NodeDef
from service.engine.graph import LOOP, Graph, GraphError, build_graph
from service.engine.nodes.base import NodeType
from service.engine.validation.issues import Issue, error, meant, warning

NodeTypes = Mapping[str, NodeType[Any]]


def check_connections(definition: Definition, node_types: NodeTypes) -> Iterator[Issue]:
    nodes = {node.id: node for node in definition.nodes}
    seen: set[tuple[str, str, str, str]] = set()
    for place, connection in enumerate(definition.connections):
        path = f"connections[{place}]"
        missing = list(_check_ends(connection, nodes, path))
        yield from missing
        key = (connection.source, connection.leaves_by, connection.target, connection.enters_by)
        if key in seen:
            yield warning(
                "duplicate_connection",
                f"{connection.source!r} is connected to {connection.target!r} twice by the same handles.",
                node=connection.source,
                field=path,
            )
        seen.add(key)
        if not missing:
            yield from _check_handles(connection, nodes, node_types, path)


def _check_ends(connection: ConnectionDef, nodes: Mapping[str, NodeDef], path: str) -> Iterator[Issue]:
    for end, node_id in (("source", connection.source), ("target", connection.target)):
        if node_id not in nodes:
            yield error(
                "unknown_node", f"There is no node {node_id!r}.{meant(node_id, nodes)}", field=f"{path}.{end}"
            )


def _check_handles(
    connection: ConnectionDef, nodes: Mapping[str, NodeDef], node_types: NodeTypes, path: str
) -> Iterator[Issue]:
    source, target = nodes[connection.source], nodes[connection.target]
    if (source_type := _type_of(source, node_types)) is not None:
        leaves = source_type.outputs(source.data)
        if connection.leaves_by == ERROR and ERROR not in leaves:
            if source.on_error != "continueErrorOutput":
                yield error(
                    "no_error_output",
                    f"{source.label!r} has the handle 'error' only where its onError is continueErrorOutput.",
                    node=source.id,
                    field=f"{path}.sourceHandle",
                )
        elif connection.leaves_by not in leaves:
            yield _no_handle(source, connection.leaves_by, leaves, "out", f"{path}.sourceHandle")
    if (target_type := _type_of(target, node_types)) is not None:
        enters = target_type.inputs(target.data)
        if connection.enters_by not in enters:
            yield _no_handle(target, connection.enters_by, enters, "in", f"{path}.targetHandle")


def _type_of(node: NodeDef, node_types: NodeTypes) -> NodeType[Any] | None:
    """Return the type whose handles a node has; what is disabled passes on by whatever it is connected with."""
    return None if node.disabled else node_types.get(node.type)


def _no_handle(node: NodeDef, handle: str, known: tuple[str, ...], way: str, path: str) -> Issue:
    there = f"there are {', '.join(known)}" if known else "there are none"
    return error(
        "unknown_handle",
        f"Nothing leads {way} of {node.label!r} by {handle!r}; {there}."
        if way == "out"
        else f"Nothing leads into {node.label!r} by {handle!r}; {there}.",
        node=node.id,
        field=path,
    )


def check_graph(definition: Definition) -> tuple[Graph | None, list[Issue]]:
    """Return the graph, where the connections make one, and what is wrong with it."""
    try:
        graph = build_graph(definition)
    except GraphError as exc:
        label = next((node.label for node in definition.nodes if node.id == exc.node), exc.node)
        return None, [error("bad_graph", f"{label!r} {exc.detail}.", node=exc.node)]
    return graph, [*_check_reach(graph), *_check_loops(graph)]


def _check_reach(graph: Graph) -> Iterator[Issue]:
    triggers = [node.id for node in graph.triggers() if not node.disabled]
    if not triggers:
        yield error("no_trigger", "There is no trigger: nothing would start it.")
        return
    reached = graph.reachable_from(triggers)
    for node in graph.nodes.values():
        if node.id not in reached and not node.disabled:
            yield warning(
                "unreachable", f"Nothing leads to {node.label!r} from a trigger: it never runs.", node=node.id
            )


def _check_loops(graph: Graph) -> Iterator[Issue]:
    for node in graph.nodes.values():
        if node.type != LOOP or node.disabled:
            continue
        if node.id not in graph.scope_of.values():
            yield warning(
                "empty_loop",
                f"Nothing is connected to 'item' of {node.label!r}: it does nothing.",
                node=node.id,
            )
        elif not graph.returning.get(node.id):
            yield warning(
                "open_loop",
                f"Nothing comes back to {node.label!r} from its body: it goes on by 'done' with nothing.",
                node=node.id,
            )
