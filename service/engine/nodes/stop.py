"""The end of a branch, or of the run with an error."""

from typing import Annotated

from msgspec import Meta

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType


class StopConfig(Config, frozen=True, kw_only=True):
    error: Annotated[bool, Meta(description="Fail the run, instead of ending this branch quietly.")] = False
    message: Annotated[str, Meta(max_length=1_000, description="What the error says.")] = ""


class Stop(NodeType[StopConfig]):
    name = "stop"
    label = "Stop"
    description = "Ends this branch, or fails the run with a message."
    config = StopConfig

    def outputs(self, data: object) -> tuple[str, ...]:
        return ()

    async def run(self, call: Call[StopConfig]) -> Emit:
        if call.config.error:
            raise NodeError(call.config.message or "The workflow was stopped.", code="stopped")
        return Emit([])
