"""What expressions can name, for one item of one node."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from service.engine.expressions import ExpressionError
from service.engine.expressions.language import budget
from service.engine.nodes.base import RunContext
from service.engine.run.progress import Input, Pass, Progress


class NodeItems(Mapping[str, Any]):
    """nodes['a']: the item of that node which the one at hand stems from."""

    def __init__(self, progress: Progress, node_id: str, iteration: str, given: Input | None) -> None:
        self._progress = progress
        self._node_id = node_id
        self._iteration = iteration
        self._given = given

    def __getitem__(self, wanted: str) -> Any:
        budget().spend()
        found, item = self._progress.ancestor(wanted, self._node_id, self._iteration, self._given)
        if not found:
            raise KeyError(wanted)
        return item

    def __contains__(self, wanted: object) -> bool:
        return isinstance(wanted, str) and self._progress.items_of(wanted, self._iteration) is not None

    def __iter__(self) -> Iterator[str]:
        return (node_id for node_id in self._progress.graph.nodes if node_id in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scope_for(
    progress: Progress,
    run: RunContext,
    node_id: str,
    iteration: str,
    inputs: Sequence[Input],
    index: int,
    now: datetime,
) -> dict[str, Any]:
    given = inputs[index] if index < len(inputs) else None
    item = given.item if given else {}
    loop = progress.graph.scope_of[node_id]
    loop_pass = progress.passes.get((loop, iteration)) if loop else None

    def items_of(wanted: str) -> Any:
        items = progress.items_of(wanted, iteration)
        if items is None:
            raise ExpressionError(f"items_of('{wanted}')", f"the node {wanted!r} has not run")
        return items

    return {
        "input": item,
        "item": item if loop_pass is None else _element(loop_pass),
        "items": [one.item for one in inputs],
        "nodes": NodeItems(progress, node_id, iteration, given),
        "trigger": dict(run.trigger),
        "execution": {"id": run.execution_id, "mode": run.mode, "resume_url": run.resume_url},
        "workflow": {"id": run.workflow_id, "name": run.workflow_name},
        "loop": None
        if loop_pass is None
        else {
            "index": loop_pass.index,
            "count": loop_pass.count,
            "first": loop_pass.index == 0,
            "last": loop_pass.index == loop_pass.count - 1,
        },
        "now": now,
        "functions": {"items_of": items_of},
    }


def _element(loop_pass: Pass) -> Any:
    """Return what a loop is at: one item, or a batch of them."""
    return list(loop_pass.items) if loop_pass.is_batch else loop_pass.items[0]
