"""The graph of a workflow: what follows what, and which nodes are inside which loop.

A loop node sends items into its body by the handle "item" and goes on by "done" when they are through. The body is
all that is reached from "item" before the loop node itself: connections from there back to the loop are the only
cycles that there may be. A scope is the nodes of one body, or those outside of all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.engine.definition import ConnectionDef, Definition, NodeDef

LOOP = "loop"
LOOP_BODY = "item"
LOOP_DONE = "done"
TRIGGER = "trigger"
OUTSIDE = ""
"""The scope of what is in no loop."""


class GraphError(Exception):
    """The connections make no graph that can be run; node says where."""

    def __init__(self, detail: str, *, node: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.node = node


@dataclass(frozen=True, slots=True)
class Graph:
    """Only connections between nodes that exist; nodes in the order in which they are drawn."""

    nodes: Mapping[str, NodeDef]
    scope_of: Mapping[str, str]
    """The innermost loop that each node is inside of, or OUTSIDE."""
    incoming: Mapping[str, tuple[ConnectionDef, ...]]
    """By target, without those that come back to a loop."""
    outgoing: Mapping[str, tuple[ConnectionDef, ...]]
    """By source, without those that go back to a loop."""
    returning: Mapping[str, tuple[ConnectionDef, ...]]
    """By loop: what comes back to it from its body."""
    order: tuple[str, ...]
    """Ids, each after all that it depends on."""

    def in_scope(self, scope: str) -> list[str]:
        return [node_id for node_id in self.order if self.scope_of[node_id] == scope]

    def sinks(self) -> list[str]:
        """Return the nodes outside of loops after which nothing comes."""
        return [
            node_id
            for node_id in self.in_scope(OUTSIDE)
            # What a loop sends into its body comes back to it.
            if all(self.scope_of[c.target] == node_id for c in self.outgoing.get(node_id, ()))
        ]

    def triggers(self) -> list[NodeDef]:
        return [node for node in self.nodes.values() if node.type == TRIGGER]

    def reachable_from(self, starts: Iterable[str]) -> set[str]:
        return _reachable(self.outgoing, starts)

    def enclosing(self, node_id: str) -> list[str]:
        """Return the loops around a node, the outermost first."""
        loops: list[str] = []
        scope = self.scope_of[node_id]
        while scope != OUTSIDE:
            loops.insert(0, scope)
            scope = self.scope_of[scope]
        return loops


def build_graph(definition: Definition) -> Graph:
    """Raises GraphError for cycles outside of loops, and for nodes that are both inside and outside of one."""
    nodes = {node.id: node for node in definition.nodes}
    connections = [c for c in definition.connections if c.source in nodes and c.target in nodes]
    all_outgoing = _by(connections, source=True)
    bodies = {node.id: _body(node.id, all_outgoing) for node in nodes.values() if node.type == LOOP}
    scope_of = _scopes(nodes, bodies)
    back = {id(c) for c in connections if nodes[c.target].type == LOOP and c.source in bodies[c.target]}
    forward = [c for c in connections if id(c) not in back]
    _check_borders(forward, scope_of)
    return Graph(
        nodes=nodes,
        scope_of=scope_of,
        incoming=_by(forward, source=False),
        outgoing=_by(forward, source=True),
        returning=_by([c for c in connections if id(c) in back], source=False),
        order=_ordered(nodes, forward),
    )


def _by(connections: Iterable[ConnectionDef], *, source: bool) -> dict[str, tuple[ConnectionDef, ...]]:
    found: defaultdict[str, list[ConnectionDef]] = defaultdict(list)
    for connection in connections:
        found[connection.source if source else connection.target].append(connection)
    return {node_id: tuple(some) for node_id, some in found.items()}


def _reachable(outgoing: Mapping[str, tuple[ConnectionDef, ...]], starts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting.extend(c.target for c in outgoing.get(node_id, ()))
    return found


def _body(loop: str, outgoing: Mapping[str, tuple[ConnectionDef, ...]]) -> set[str]:
    """Return what is reached from a loop's "item" without passing the loop again."""
    found: set[str] = set()
    waiting = [c.target for c in outgoing.get(loop, ()) if c.leaves_by == LOOP_BODY]
    while waiting:
        node_id = waiting.pop()
        if node_id != loop and node_id not in found:
            found.add(node_id)
            waiting.extend(c.target for c in outgoing.get(node_id, ()))
    return found


def _scopes(nodes: Mapping[str, NodeDef], bodies: Mapping[str, set[str]]) -> dict[str, str]:
    """Return each node's innermost loop: of those that it is in, the one that is in all the others."""
    for one, body in bodies.items():
        if any(other in body and one in bodies[other] for other in body if other in bodies):
            raise GraphError("two loops are each inside the other", node=one)
    return {
        node_id: max(
            (loop for loop, body in bodies.items() if node_id in body),
            key=lambda loop: sum(loop in body for body in bodies.values()),
            default=OUTSIDE,
        )
        for node_id in nodes
    }


def _check_borders(connections: Iterable[ConnectionDef], scope_of: Mapping[str, str]) -> None:
    for connection in connections:
        source, target = scope_of[connection.source], scope_of[connection.target]
        enters = connection.source == target and connection.leaves_by == LOOP_BODY
        if source != target and not enters:
            raise GraphError(
                f"is reached from inside the loop {target or source!r} and from outside of it"
                if target
                else f"is outside of the loop {source!r}, but {connection.source!r} inside of it leads here",
                node=connection.target,
            )


def _ordered(nodes: Mapping[str, NodeDef], connections: Iterable[ConnectionDef]) -> tuple[str, ...]:
    """Kahn's algorithm, ties in the order in which they are drawn."""
    outgoing: defaultdict[str, list[str]] = defaultdict(list)
    missing = dict.fromkeys(nodes, 0)
    for connection in connections:
        outgoing[connection.source].append(connection.target)
        missing[connection.target] += 1
    ready = [node_id for node_id, count in missing.items() if count == 0]
    ordered: list[str] = []
    for node_id in ready:  # grows while it is gone through
        ordered.append(node_id)
        for target in outgoing[node_id]:
            missing[target] -= 1
            if missing[target] == 0:
                ready.append(target)
    if len(ordered) < len(nodes):
        stuck = next(node_id for node_id in nodes if node_id not in set(ordered))
        raise GraphError(
            "is in a circle; only a loop node may be led back to", node=_in_cycle(stuck, outgoing)
        )
    return tuple(ordered)


def _in_cycle(start: str, outgoing: Mapping[str, list[str]]) -> str:
    """Return a node that leads back to itself, looked for among what start leads to, else start."""
    seen = [start]
    for node_id in seen:
        for target in outgoing.get(node_id, ()):
            if target not in seen:
                seen.append(target)
    for node_id in seen:
        inner = list(outgoing.get(node_id, ()))
        for target in inner:
            inner.extend(more for more in outgoing.get(target, ()) if more not in inner)
        if node_id in inner:
            return node_id
    return start
