"""workflow: runs another workflow of the same space, and goes on with what it gives."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from service.engine.definition import OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, CallWorkflow, Config, Emit, NodeType
from service.engine.values import is_too_large


class WorkflowConfig(Config, frozen=True, kw_only=True):
    workflow_id: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=100, description="The workflow to run, of the same owner or team."
        ),
    ]
    data: Annotated[Any, msgspec.Meta(description="What it is started with. Unset: the item.")] = None
    wait: Annotated[
        bool,
        msgspec.Meta(description="Whether to go on with what it gives when it has ended; false: at once."),
    ] = True


class RunWorkflow(NodeType[WorkflowConfig]):
    name = "workflow"
    label = "Run a workflow"
    description = "Runs another workflow for each item, and goes on with what it gives."
    config = WorkflowConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data.get("workflowId") else [("workflowId", "is missing: the workflow to run")]

    async def run(self, call: Call[WorkflowConfig]) -> Emit | CallWorkflow:
        config = call.config
        if call.resumed is None:
            return CallWorkflow(
                workflow_id=config.workflow_id,
                data=call.item if config.data is None else config.data,
                wait=config.wait,
            )
        if call.resumed["status"] != "SUCCESS":
            raise _failed(call.resumed)
        output = call.resumed["output"]
        if is_too_large(output):
            raise NodeError(
                f"The workflow that it ran gave {output['size_bytes']:,} bytes; {output['max_bytes']:,} are the most "
                f"that are handed on. Its execution is {call.resumed['execution_id']}.",
                code="too_large",
            )
        # As what a run is started with: a list of objects is several items.
        several = isinstance(output, list) and all(isinstance(one, dict) for one in output)
        return Emit([(OUTPUT, item) for item in (output if several else [output])])


def _failed(ended: Mapping[str, Any]) -> NodeError:
    error = ended.get("error") or {}
    said = f": {error['message']}" if error.get("message") else "."
    return NodeError(
        f"The workflow that it ran ended as {ended['status']}{said} Its execution is {ended['execution_id']}.",
        code="child_failed",
    )
