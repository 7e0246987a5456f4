"""A part of the workflow run for each item. The engine does it; this is what it is told."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from service.engine.graph import LOOP_BODY, LOOP_DONE
from service.engine.nodes.base import Config, NodeType


class LoopConfig(Config, frozen=True, kw_only=True):
    items: Annotated[
        list[Any] | None,
        Meta(description="What to go through, as {{ input.lines }}; unset: what comes in."),
    ] = None
    batch_size: Annotated[int, Meta(ge=1, le=1000, description="Items of one pass.")] = 1
    concurrency: Annotated[int, Meta(ge=1, le=10, description="Passes at a time.")] = 1
    max_iterations: Annotated[int, Meta(ge=1, le=1000, description="Passes at most; more are an error.")] = (
        1000
    )


class Loop(NodeType[LoopConfig]):
    name = "loop"
    label = "Loop"
    description = (
        "Runs what follows by item for each item, and goes on by done with what comes back, in order."
    )
    config = LoopConfig
    whole = True
    input_handles = ("input", "next")

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return (LOOP_BODY, LOOP_DONE)
