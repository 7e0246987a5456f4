"""Another workflow as a step."""

from typing import Annotated, Any

from msgspec import Meta

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, CallWorkflow, Config, NodeType, Outcome, emit


class WorkflowConfig(Config, frozen=True, kw_only=True):
    workflow_id: Annotated[str, Meta(min_length=1, description="Id of a workflow of the same owner or team.")]
    data: Annotated[Any, Meta(description="What it is started with; unset: the item.")] = None
    wait: Annotated[bool, Meta(description="Go on with its output when it has ended, or at once.")] = True


class Workflow(NodeType[WorkflowConfig]):
    name = "workflow"
    label = "Run a workflow"
    description = (
        "Runs another workflow for each item, and goes on with what it gives. Five may call each other."
    )
    config = WorkflowConfig
    has_effects = True

    async def run(self, call: Call[WorkflowConfig]) -> Outcome:
        config = call.config
        if call.resumed is None:
            data = call.item if config.data is None else config.data
            return CallWorkflow(config.workflow_id, data, wait=config.wait)
        if call.resumed.get("status") != "SUCCESS":
            error = call.resumed.get("error") or {}
            reason = error.get("message") or str(call.resumed.get("status")).lower()
            raise NodeError(
                f"The workflow {config.workflow_id} did not succeed: {reason}", code="child_failed"
            )
        output = call.resumed.get("output")
        return emit({} if output is None else output)
