"""How far a run has come: its finished steps, and what follows from them. Plain values, no effects.

An item knows which input item it stems from, an input item which output item it was, and so on back to the trigger:
that is how nodes['a'] finds the one that belongs to the item at hand.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.workflow_steps import StepRow
from service.engine.definition import ERROR
from service.engine.graph import Graph

Place = tuple[str, str]
"""A node and an iteration."""


@dataclass(frozen=True, slots=True)
class Input:
    """An item on its way into a node: by which handle, and which output of which step it was."""

    handle: str
    item: Any
    source: Place
    index: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a loop: the items that it works on, and where it stands among the others."""

    index: int
    count: int
    items: tuple[Any, ...]
    origins: tuple[int, ...]
    """Which input item of the loop each of them stems from."""
    is_batch: bool = False
    """Whether expressions see a list, of however many."""


@dataclass(slots=True)
class Progress:
    graph: Graph
    steps: dict[Place, StepRow] = field(default_factory=dict)
    """Those that are done or skipped."""
    passes: dict[Place, Pass] = field(default_factory=dict)
    """By loop and iteration of its body."""
    started_with: dict[str, list[Any]] = field(default_factory=dict)
    """What nodes begin with that nothing leads to."""
    _came_in: dict[Place, list[Input]] = field(default_factory=dict)
    """By place, once all that leads there is through: asked for with every item that names another node's."""

    def is_resolved(self, node_id: str, iteration: str) -> bool:
        """Return whether it is known what comes out of a node."""
        return (node_id, iteration) in self.steps

    def is_ready(self, node_id: str, iteration: str) -> bool:
        """Return whether all that leads to a node is through."""
        scope = self.graph.scope_of[node_id]
        return all(
            c.source == scope or self.is_resolved(c.source, iteration)
            for c in self.graph.incoming.get(node_id, ())
        )

    def inputs(self, node_id: str, iteration: str) -> list[Input]:
        """Return what comes into a node that is ready, in the order of its connections; nothing where all are dead."""
        place = (node_id, iteration)
        if place not in self._came_in:
            self._came_in[place] = self._find_inputs(node_id, iteration)
        return self._came_in[place]

    def _find_inputs(self, node_id: str, iteration: str) -> list[Input]:
        incoming = self.graph.incoming.get(node_id, ())
        if not incoming:
            return [
                Input("input", item, (node_id, iteration), index)
                for index, item in enumerate(self.started_with.get(node_id, ()))
            ]
        found: list[Input] = []
        scope = self.graph.scope_of[node_id]
        for connection in incoming:
            if connection.source == scope:
                loop_pass = self.passes[scope, iteration]
                found += [
                    Input(connection.enters_by, item, (scope, iteration), index)
                    for index, item in enumerate(loop_pass.items)
                ]
                continue
            step = self.steps[connection.source, iteration]
            found += [
                Input(connection.enters_by, item, (connection.source, iteration), index)
                for index, (handle, _, item) in enumerate(step.outputs)
                if handle == connection.leaves_by
            ]
        return found

    def results(self, loop: str, iteration: str) -> list[tuple[int, Any]]:
        """Return what came back to a loop from one pass of its body, and which item of the pass each stems from."""
        found: list[tuple[int, Any]] = []
        for connection in self.graph.returning.get(loop, ()):
            step = self.steps.get((connection.source, iteration))
            if step is not None:
                found += [
                    (self._origin_in((loop, iteration), (connection.source, iteration), index), item)
                    for index, (handle, _, item) in enumerate(step.outputs)
                    if handle == connection.leaves_by
                ]
        return found

    def _origin_in(self, loop_pass: Place, place: Place, index: int) -> int:
        lineage = self._lineage(Input("", None, place, index))
        return next((origin for passed, origin in lineage if passed == loop_pass), 0)

    def items_of(self, node_id: str, iteration: str) -> list[Any] | None:
        """Return all that a node gave, here or in the loops around; None where it has not run."""
        step = self._seen_from(node_id, iteration)
        return None if step is None or step.status != "done" else [item for _, _, item in step.outputs]

    def ancestor(self, wanted: str, node_id: str, iteration: str, given: Input | None) -> tuple[bool, Any]:
        """Return whether there is an item of the wanted node, and the one that an input stems from, else its first."""
        step = self._seen_from(wanted, iteration)
        if step is None or not step.outputs:
            return False, None
        if given is not None:
            for place, index in self._lineage(given):
                if place[0] == wanted and place == (wanted, step.iteration) and index < len(step.outputs):
                    return True, step.outputs[index][2]
        return True, step.outputs[0][2]

    def _seen_from(self, node_id: str, iteration: str) -> StepRow | None:
        while True:
            step = self.steps.get((node_id, iteration))
            if step is not None or not iteration:
                return step
            iteration = iteration.rpartition("/")[0]

    def _lineage(self, given: Input) -> Iterator[tuple[Place, int]]:
        """Yield the outputs that an input stems from, the nearest first."""
        waiting = deque([(given.source, given.index)])
        seen: set[tuple[Place, int]] = set()
        while waiting:
            place, index = waiting.popleft()
            if (place, index) in seen:
                continue
            seen.add((place, index))
            yield place, index
            before = self._input_of(place, index)
            if before is not None:
                waiting.append((before.source, before.index))

    def _input_of(self, place: Place, index: int) -> Input | None:
        """Return the input item that an output item stems from."""
        loop_pass = self.passes.get(place)
        if loop_pass is not None:  # an item of a loop's pass stems from one that came into the loop
            loop, iteration = place
            inputs = self.inputs(loop, iteration.rpartition("/")[0])
            origin = loop_pass.origins[index] if index < len(loop_pass.origins) else 0
            return inputs[origin] if origin < len(inputs) else None
        step = self.steps.get(place)
        if step is None or index >= len(step.outputs):
            return None
        inputs = self.inputs(*place)
        origin = step.outputs[index][1]
        found = inputs[origin] if origin < len(inputs) else None
        return None if found is not None and found.source == place else found


def enter_loop(loop: str, iteration: str, index: int) -> str:
    """Return the iteration inside of a loop, in the given pass of it."""
    # A slash is what iterations are parted by, and ids may have some.
    inside = f"{loop.replace('~', '~0').replace('/', '~1')}:{index}"
    return f"{iteration}/{inside}" if iteration else inside


def output_of(progress: Progress, only: str | None = None) -> Any:
    """Return what a run gives: what its last nodes gave, by node where several have run.

    One item is given as itself, several as a list.
    """
    ends = [only] if only else progress.graph.sinks()
    steps = [
        step for end in ends if (step := progress.steps.get((end, ""))) is not None and step.status == "done"
    ]
    # An end that gave nothing, a quiet stop for example, is no part of what the run gives.
    given = {
        step.node_id: _unwrapped([item for _, _, item in step.outputs]) for step in steps if step.outputs
    }
    if len(given) == 1:
        return next(iter(given.values()))
    return given or None


def _unwrapped(items: Sequence[Any]) -> Any:
    return items[0] if len(items) == 1 else list(items)


def failed_item(error: Mapping[str, Any], item: Any, handle: str) -> tuple[str, Any]:
    """Return what goes on in place of what a node could not make of an item."""
    if handle == ERROR:
        return ERROR, {"error": dict(error), "input": item}
    return handle, {**(item if isinstance(item, dict) else {"input": item}), "error": dict(error)}
