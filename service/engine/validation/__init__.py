"""What stands against running a workflow, all of it at once, with the node and the field.

A draft may have any of it; whoever activates it has to set the errors right.
"""

from collections import Counter
from collections.abc import Iterator

from service.engine.cron import is_timezone
from service.engine.definition import Definition, NodeDef
from service.engine.nodes import NODE_TYPES
from service.engine.validation.configuration import check_amount, check_data
from service.engine.validation.issues import Issue, error, first_issues, meant
from service.engine.validation.references import check_references
from service.engine.validation.wiring import NodeTypes, check_connections, check_graph

__all__ = ["Issue", "has_errors", "validate"]


def validate(definition: Definition, node_types: NodeTypes = NODE_TYPES) -> list[Issue]:
    """Return errors first, then warnings, each in the order of the nodes; [] where nothing is wrong.

    Takes about two seconds of a large workflow: who has others to answer meanwhile does it in a thread.
    """
    return first_issues(_issues(definition, node_types))


def _issues(definition: Definition, node_types: NodeTypes) -> Iterator[Issue]:
    yield from _check_settings(definition)
    yield from _check_ids(definition)
    known = [(node, node_types.get(node.type)) for node in definition.nodes if not node.disabled]
    typed = [(node, node_type) for node, node_type in known if node_type is not None]
    too_many = check_amount(typed)
    if too_many is not None:
        yield too_many
    for node, node_type in known:
        if node_type is None:
            yield _unknown(node, node_types)
        elif too_many is None:
            yield from check_data(node, node_type)
    yield from check_connections(definition, node_types)
    graph, wrong = check_graph(definition)
    yield from wrong
    if graph is not None and too_many is None:
        for node, node_type in typed:
            yield from check_references(node, node_type, graph)


def has_errors(issues: list[Issue]) -> bool:
    return any(issue.severity == "error" for issue in issues)


def _check_settings(definition: Definition) -> Iterator[Issue]:
    zone, follower = definition.settings.timezone, definition.settings.error_workflow
    if zone is not None and not is_timezone(zone):
        yield error(
            "bad_timezone",
            f"{zone[:60]!r} is no time zone; they are called as Europe/Berlin.",
            field="settings.timezone",
        )
    if follower is not None and not follower.strip():
        yield error("bad_config", "The id of a workflow, or nothing at all.", field="settings.errorWorkflow")


def _check_ids(definition: Definition) -> Iterator[Issue]:
    counts = Counter(node.id for node in definition.nodes)
    for node_id, count in counts.items():
        if count > 1:
            yield error("duplicate_id", f"{count} nodes have the id {node_id!r}.", node=node_id, field="id")


def _unknown(node: NodeDef, node_types: NodeTypes) -> Issue:
    hint = meant(node.type, node_types) or f" There are {', '.join(sorted(node_types))}."
    return error("unknown_type", f"There is no node type {node.type!r}.{hint}", node=node.id, field="type")
