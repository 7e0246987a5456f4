"""loop: the nodes between `item` and the way back to `next` run once for each batch; what came back goes on by `done`.

The engine runs it (service/engine/run): the type only says what can be configured.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from service.engine.definition import INPUT
from service.engine.errors import NodeError
from service.engine.graph import LOOP, LOOP_BODY, LOOP_DONE
from service.engine.nodes.base import Call, Config, NodeType, Outcome

NEXT = "next"
MAX_PASSES = 1_000


class LoopConfig(Config, frozen=True, kw_only=True):
    items: Annotated[
        list[Any] | None,
        msgspec.Meta(
            description="What to go through, mostly an expression; evaluated for each item that comes in, where it "
            "speaks of one. Unset: the items that come in."
        ),
    ] = None
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=1_000, description="Items of one pass.")] = 1
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10, description="Passes at a time.")] = 1
    max_iterations: Annotated[
        int, msgspec.Meta(ge=1, le=MAX_PASSES, description="Passes at most; with more to do the node fails.")
    ] = MAX_PASSES


class Loop(NodeType[LoopConfig]):
    name = LOOP
    label = "Loop"
    description = (
        "Runs the nodes between item and next once for each item, and goes on by done with what came back."
    )
    config = LoopConfig
    whole = True
    input_handles = (INPUT, NEXT)

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return (LOOP_BODY, LOOP_DONE)

    async def run(self, call: Call[LoopConfig]) -> Outcome:
        raise NodeError("A loop is run by the engine.", code="internal")
