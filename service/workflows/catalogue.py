"""What workflows can be made of, and whether one could be run: nothing of anybody's."""

import asyncio

from litestar import get, post
from litestar.params import JSONBody

from service.engine.nodes.catalogue import Catalogue, describe_node_types
from service.engine.validation import has_errors
from service.openapi import problems
from service.workflows.drawing import check_json, look_at
from service.workflows.schemas import Drawing, Validation


@get("/node-types", responses=problems(), summary="List node types")
async def list_node_types() -> Catalogue:
    """Return what nodes there are, with a JSON Schema of the data of each."""
    return describe_node_types()


@post("/validate", status_code=200, responses=problems(422), summary="Validate a workflow")
async def validate_workflow(data: JSONBody[Drawing]) -> Validation:
    """Say what stands against running it, without keeping it."""
    check_json([data.nodes, data.connections, data.settings], "The workflow")
    issues = await asyncio.to_thread(look_at, data.nodes, data.connections, data.settings)
    return Validation(valid=not has_errors(issues), issues=issues)
