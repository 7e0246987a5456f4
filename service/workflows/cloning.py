"""Copies of workflows: one's own, a team's, or a public one."""

from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.pool import Pool
from db.tenancy import as_caller, as_system
from db.workflows import PublicRow, WorkflowRow, find_public, find_workflow
from service.auth.caller import Caller
from service.engine.sharing import strip_credentials
from service.errors import not_found
from service.openapi import problems
from service.settings import Settings
from service.workflows.access import owners
from service.workflows.drawing import checked_drawing
from service.workflows.fields import WorkflowId, clean_name
from service.workflows.public import shared_settings
from service.workflows.saving import store_new
from service.workflows.schemas import MAX_NAME_CHARS, Clone, Workflow
from service.workflows.views import show

_SUFFIX = " (copy)"
_UNSAID = Clone()


@post("/{workflow_id:str}/clone", responses=problems(402, 404, 422), summary="Copy a workflow")
async def clone_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
    data: JSONBody[Clone] = _UNSAID,
) -> Response[Workflow]:
    """Make a draft of your own, or a team's, of a workflow that you see; of a public one without its credentials."""
    if data.team_id is not None:
        caller.require("workflows:write", data.team_id)
    source = await _source(pool, caller, workflow_id)
    nodes, connections, settings = _taken(source, data.team_id)
    definition = checked_drawing(nodes, connections, settings, stored=True)
    name = (
        source.name[: MAX_NAME_CHARS - len(_SUFFIX)] + _SUFFIX if data.name is None else clean_name(data.name)
    )
    async with as_caller(pool, caller.subject) as conn:
        copy_id = await store_new(
            conn,
            caller,
            definition,
            name=name,
            description=source.description,
            nodes=nodes or [],
            connections=connections or [],
            settings=settings,
            category=source.category,
            tags=source.tags,
            team_id=data.team_id,
            copy_of=workflow_id,
        )
        made = await show(conn, caller, deployment, copy_id)
    return Response(made, headers={"Location": f"/v1/workflows/{copy_id}"})


async def _source(pool: Pool, caller: Caller, workflow_id: str) -> WorkflowRow | PublicRow:
    async with as_caller(pool, caller.subject) as conn:
        mine = await find_workflow(conn, owners(caller), workflow_id)
    if mine is not None:
        return mine
    async with as_system(pool) as conn:
        public = await find_public(conn, workflow_id)
    if public is None:
        raise not_found("workflow")
    return public


def _taken(source: WorkflowRow | PublicRow, team_id: str | None) -> tuple[Any, Any, Any]:
    """Return nodes, connections and settings: as they are in the same place, without what is secret in another."""
    if isinstance(source, WorkflowRow) and source.team_id == team_id:
        return source.nodes, source.connections, source.settings
    nodes, connections = (
        strip_credentials(drawn) if isinstance(drawn, list) else drawn
        for drawn in (source.nodes, source.connections)
    )
    return nodes, connections, shared_settings(source.settings)
