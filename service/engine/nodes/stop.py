"""stop: the end of a branch, or of the whole run with an error."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType
from service.engine.nodes.text import AS_TEXT, Text, as_text


class StopConfig(Config, frozen=True, kw_only=True):
    message: Annotated[
        Text, msgspec.Meta(description="What the run says it failed with.", extra_json_schema=AS_TEXT)
    ] = "The workflow was stopped."
    error: Annotated[
        bool,
        msgspec.Meta(description="Whether the run fails; false: only this branch ends, without an error."),
    ] = True


class Stop(NodeType[StopConfig]):
    name = "stop"
    label = "Stop"
    description = "Fails the run with a message, or quietly ends the branch that it stands in."
    config = StopConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ()

    async def run(self, call: Call[StopConfig]) -> Emit:
        if call.config.error:
            raise NodeError(as_text(call.config.message) or "The workflow was stopped.", code="stopped")
        return Emit([])
