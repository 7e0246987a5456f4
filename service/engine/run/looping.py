"""What a loop goes through, pass by pass, and what came of it. The driver runs the passes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from service.engine.definition import NodeDef
from service.engine.errors import EngineError, NodeError
from service.engine.expressions import ExpressionError, read_ahead, render, speaks_of_item
from service.engine.graph import LOOP_DONE
from service.engine.nodes.base import RunContext
from service.engine.nodes.loop import MAX_PASSES, LoopConfig
from service.engine.run.progress import Input, Progress, enter_loop
from service.engine.run.scope import scope_for
from service.engine.run.turn import EXPRESSIONS_S, MAX_ITEMS, MAX_STEP_BYTES, Output
from service.engine.values import storable

Batch = tuple[list[Any], list[int]]
"""The items of a pass, and which of the items that came in each stems from."""


@dataclass(frozen=True, slots=True)
class LoopAt:
    """A loop that has become ready."""

    node: NodeDef
    iteration: str
    inputs: Sequence[Input]
    ready_at: datetime


async def plan_loop(progress: Progress, run: RunContext, at: LoopAt) -> tuple[LoopConfig, list[Batch]]:
    """Return the loop's configuration, and what each pass works on. Raises NodeError."""
    await read_ahead(at.node.data)
    config = _configured(progress, run, at, 0)
    items = [one.item for one in at.inputs]
    origins = list(range(len(at.inputs)))
    if config.items is not None:
        items, origins = list(config.items), [0] * len(config.items)
        # An expression that speaks of the item at hand says something else for each.
        for index in range(1, len(at.inputs) if speaks_of_item(at.node.data["items"]) else 1):
            await asyncio.sleep(0)
            more = _configured(progress, run, at, index).items or []
            items += more
            origins += [index] * len(more)
    size = config.batch_size
    batches = [
        (items[start : start + size], origins[start : start + size]) for start in range(0, len(items), size)
    ]
    most = min(config.max_iterations, MAX_PASSES)
    if len(batches) > most:
        detail = f"{len(batches)} passes would be needed; {most} are the most."
        raise NodeError(detail, code="too_many_passes")
    return config, batches


def loop_outputs(progress: Progress, at: LoopAt, batches: Sequence[Batch]) -> list[Output]:
    """Return what has come back from all passes; where nothing leads back, what they worked on. Raises NodeError."""
    comes_back = bool(progress.graph.returning.get(at.node.id))
    outputs: list[Output] = []
    for index, (items, origins) in enumerate(batches):
        inside = enter_loop(at.node.id, at.iteration, index)
        given = progress.results(at.node.id, inside) if comes_back else list(enumerate(items))
        outputs += [(LOOP_DONE, origins[place], item) for place, item in given]
    if len(outputs) > MAX_ITEMS:
        detail = f"{len(outputs):,} items came back; {MAX_ITEMS:,} are the most."
        raise NodeError(detail, code="too_many_items")
    if len(msgspec.json.encode(outputs)) > MAX_STEP_BYTES:
        raise NodeError(f"More than {MAX_STEP_BYTES:,} bytes came back.", code="too_large")
    return outputs


def _configured(progress: Progress, run: RunContext, at: LoopAt, index: int) -> LoopConfig:
    """Return the loop's configuration as it is for one of the items that came in."""
    scope = scope_for(progress, run, at.node.id, at.iteration, at.inputs, index, at.ready_at)
    known = LoopConfig.__struct_encode_fields__
    ends = time.monotonic() + EXPRESSIONS_S
    try:
        rendered = {
            key: render(value, scope, deadline=ends) for key, value in at.node.data.items() if key in known
        }
        # As what nodes give: the database does not hold every text.
        return msgspec.convert(storable(rendered, "The configuration", MAX_STEP_BYTES), LoopConfig)
    except ExpressionError as exc:
        raise NodeError(exc.detail, code="expression", expression=exc.expression) from exc
    except msgspec.ValidationError as exc:
        raise NodeError(str(exc), code="bad_config") from exc
    except EngineError as exc:
        raise NodeError(str(exc), code="bad_value") from exc
