"""Workflows as files: ours out and in, n8n's in. No file has credentials in it."""

import asyncio
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.engine.definition import MAX_NODES
from service.engine.expressions import shortened
from service.engine.sharing import strip_credentials, without_credential_names
from service.openapi import problems
from service.settings import Settings
from service.workflows.access import find
from service.workflows.drawing import checked_drawing
from service.workflows.fields import WorkflowId, clean_description, clean_label, clean_name, clean_tags
from service.workflows.files import WorkflowFile, read_file
from service.workflows.public import shared_settings
from service.workflows.saving import store_new
from service.workflows.schemas import MAX_NAME_CHARS, Imported
from service.workflows.views import show

Team = Annotated[str | None, QueryParameter(max_length=100, description="The team whose it is to be.")]
Called = Annotated[
    str | None,
    QueryParameter(max_length=MAX_NAME_CHARS, description="How to call it; unset: as the file does."),
]


@get("/{workflow_id:str}/export", responses=problems(404), summary="Export a workflow")
async def export_workflow(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], workflow_id: WorkflowId
) -> Response[WorkflowFile]:
    """Return a workflow as a file, without credentials and addresses of webhooks."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find(conn, caller, workflow_id)
    exported = WorkflowFile(
        name=row.name,
        description=row.description,
        nodes=strip_credentials(row.nodes) if isinstance(row.nodes, list) else [],
        connections=strip_credentials(row.connections) if isinstance(row.connections, list) else [],
        settings=shared_settings(row.settings),
        category=row.category,
        tags=row.tags,
    )
    return Response(
        exported,
        headers={
            "Content-Disposition": f'attachment; filename="workflow-{row.id}.json"',
            "X-Content-Type-Options": "nosniff",
        },
    )


@post("/import", responses=problems(402, 404, 422), summary="Import a workflow")
async def import_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    data: JSONBody[dict[str, Any]],
    team_id: Team = None,
    name: Called = None,
) -> Response[Imported]:
    """Make a draft of a file: one of GET …/export, or of n8n. `notes` says what was not taken over as it was."""
    if team_id is not None:
        caller.require("workflows:write", team_id)
    file, notes = await asyncio.to_thread(read_file, data)
    nodes, left_out = _without_names(file.nodes)
    definition = checked_drawing(nodes, file.connections, file.settings)
    async with as_caller(pool, caller.subject) as conn:
        workflow_id = await store_new(
            conn,
            caller,
            definition,
            name=clean_name((name or file.name)[:MAX_NAME_CHARS]),
            description=clean_description(file.description),
            nodes=nodes,
            connections=file.connections,
            settings=file.settings,
            category=clean_label(file.category, "category"),
            tags=clean_tags(file.tags),
            team_id=team_id,
            changelog="Imported",
        )
        made = await show(conn, caller, deployment, workflow_id)
    return Response(
        Imported(workflow=made, notes=[*notes, *left_out]),
        headers={"Location": f"/v1/workflows/{workflow_id}"},
    )


def _without_names(nodes: list[Any]) -> tuple[list[Any], list[str]]:
    """Return nodes without names of credentials, and a note on each: a file may be anybody's."""
    kept = [without_credential_names(node) for node in nodes]
    return [node for node, _ in kept], [
        f"{shortened(str(node.get('name') or node.get('id')))}: {' and '.join(gone)} "
        "was left out: name a credential of yours."
        for node, gone in kept
        if gone
    ][:MAX_NODES]
