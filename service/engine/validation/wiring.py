"""Connections: whether they lead from what is there to what is there, by handles that there are."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.engine.definition import ERROR, ConnectionDef, Definition, NodeDef
from service.engine.expressions import shortened
from service.engine.graph import LOOP, Graph, GraphError, build_graph
from service.engine.nodes.base import NodeType
from service.engine.validation.issues import Issue, error, meant, warning

_LISTED = 20
"""As many handles as a message lists."""

NodeTypes = Mapping[str, NodeType[Any]]


def check_connections(definition: Definition, node_types: NodeTypes) -> Iterator[Issue]:
    nodes = {node.id: node for node in definition.nodes}
    handles = _Handles(node_types)
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
            yield from _check_handles(connection, nodes, handles, path)


def _check_ends(connection: ConnectionDef, nodes: Mapping[str, NodeDef], path: str) -> Iterator[Issue]:
    for end, node_id in (("source", connection.source), ("target", connection.target)):
        if node_id not in nodes:
            yield error(
                "unknown_node", f"There is no node {node_id!r}.{meant(node_id, nodes)}", field=f"{path}.{end}"
            )


class _Handles:
    """The handles of nodes, looked up once for each: many connections may lead to one that has many."""

    def __init__(self, node_types: NodeTypes) -> None:
        self._node_types = node_types
        self._found: dict[tuple[str, bool], dict[str, None] | None] = {}

    def of(self, node: NodeDef, *, out: bool) -> dict[str, None] | None:
        """Return them in order, None of what is not known; what is disabled passes on by whatever leads there."""
        if (node.id, out) not in self._found:
            node_type = None if node.disabled else self._node_types.get(node.type)
            self._found[node.id, out] = (
                None
                if node_type is None
                else dict.fromkeys(node_type.outputs(node.data) if out else node_type.inputs(node.data))
            )
        return self._found[node.id, out]


def _check_handles(
    connection: ConnectionDef, nodes: Mapping[str, NodeDef], handles: _Handles, path: str
) -> Iterator[Issue]:
    source, target = nodes[connection.source], nodes[connection.target]
    if (leaves := handles.of(source, out=True)) is not None:
        if connection.leaves_by == ERROR and ERROR not in leaves:
            if source.on_error != "continueErrorOutput":
                yield error(
                    "no_error_output",
                    f"{source.label!r} has the handle 'error' only where its onError is continueErrorOutput.",
                    node=source.id,
                    field=f"{path}.sourceHandle",
                )
        elif connection.leaves_by not in leaves:
            yield _no_handle(source, connection.leaves_by, list(leaves), "out", f"{path}.sourceHandle")
    enters = handles.of(target, out=False)
    if enters is not None and connection.enters_by not in enters:
        yield _no_handle(target, connection.enters_by, list(enters), "in", f"{path}.targetHandle")


def _no_handle(node: NodeDef, handle: str, known: list[str], way: str, path: str) -> Issue:
    listed = ", ".join(shortened(name) for name in known[:_LISTED])
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    there = f"there are {listed}{more}" if known else "there are none"
    handle = shortened(handle)
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
