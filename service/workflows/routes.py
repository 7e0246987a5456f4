"""/v1/workflows: drawing workflows, and setting them to work."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from db import workflows
from db.pool import Pool
from db.tenancy import as_caller, as_service
from db.workflows import Changes, Status
from service.audit import audit
from service.auth.caller import Caller
from service.cursors import decode_cursor, encode_cursor
from service.errors import Problem
from service.openapi import problems
from service.schemas import Page
from service.settings import Settings
from service.workflows.access import find_to_change, owners
from service.workflows.catalogue import list_node_types, validate_workflow
from service.workflows.cloning import clone_workflow
from service.workflows.drawing import checked_drawing
from service.workflows.exchange import export_workflow, import_workflow
from service.workflows.fields import (
    After,
    Category,
    Limit,
    Tag,
    Text,
    WorkflowId,
    clean_changelog,
    clean_description,
    clean_label,
    clean_name,
    clean_tags,
)
from service.workflows.public import get_public_workflow, list_public_workflows
from service.workflows.saving import store_changes, store_new
from service.workflows.schemas import ListedWorkflow, NewWorkflow, Workflow, WorkflowPatch
from service.workflows.versions import compare_versions, get_version, list_versions, restore_version
from service.workflows.views import show

# Exports of other programs come with what their builders keep beside the drawing.
MAX_BODY_BYTES = 4 * 1024 * 1024

TeamId = Annotated[str | None, QueryParameter(max_length=100, description="Only this team's.")]
InStatus = Annotated[Status | None, QueryParameter(description="Only those in this state.")]
Executions = Annotated[
    int, QueryParameter(ge=0, le=5, description="How many of the latest executions to tell of each.")
]


@post("/", responses=problems(402, 404, 422), summary="Make a workflow")
async def create_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    data: JSONBody[NewWorkflow],
) -> Response[Workflow]:
    """Keep a draft, which may be incomplete: `issues` says what it lacks."""
    if data.team_id is not None:
        caller.require("workflows:write", data.team_id)
    definition = checked_drawing(data.nodes, data.connections, data.settings)
    async with as_caller(pool, caller.subject) as conn:
        workflow_id = await store_new(
            conn,
            caller,
            definition,
            name=clean_name(data.name),
            description=clean_description(data.description),
            nodes=data.nodes,
            connections=data.connections,
            settings=data.settings,
            category=clean_label(data.category, "category"),
            tags=clean_tags(data.tags),
            team_id=data.team_id,
            is_public=data.is_public,
            changelog=clean_changelog(data.changelog),
        )
        made = await show(conn, caller, deployment, workflow_id)
    return Response(made, headers={"Location": f"/v1/workflows/{workflow_id}"})


@get("/", responses=problems(404), summary="List workflows")
async def list_workflows(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    status: InStatus = None,
    category: Category = None,
    tag: Tag = None,
    team_id: TeamId = None,
    q: Text = None,
    executions: Executions = 1,
) -> Page[ListedWorkflow]:
    """Return your workflows and your teams', newest first, each with its latest executions."""
    if team_id is not None:
        caller.require("workflows:read", team_id)
    wanted = workflows.Wanted(status=status, category=category, tag=tag, team_id=team_id, text=q)
    async with as_caller(pool, caller.subject) as conn:
        rows = await workflows.list_workflows(
            conn,
            owners(caller),
            wanted,
            limit=limit + 1,
            after=decode_cursor(after, workflows.Cursor),
            executions=executions,
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[ListedWorkflow.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(workflows.Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/{workflow_id:str}", responses=problems(404), summary="Get a workflow")
async def get_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
) -> Workflow:
    """Return a workflow with what starts it, and what stands against running it."""
    async with as_caller(pool, caller.subject) as conn:
        return await show(conn, caller, deployment, workflow_id)


@patch("/{workflow_id:str}", responses=problems(404, 409, 422), summary="Change a workflow")
async def update_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
    data: JSONBody[WorkflowPatch],
) -> Workflow:
    """Change what is given. Other nodes or connections are a new version; an active workflow has to stay valid."""
    if data.draws and data.revision is msgspec.UNSET:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "revision: is missing. Send the revision of the workflow that nodes, connections or settings were made "
            "from, so that nobody's edit is lost.",
        )
    changes = _changes(data)
    async with as_caller(pool, caller.subject) as conn:
        revision = None if data.revision is msgspec.UNSET else data.revision
        row = await find_to_change(conn, caller, workflow_id, revision=revision)
        await store_changes(conn, caller, row, changes, changelog=clean_changelog(data.changelog))
        return await show(conn, caller, deployment, workflow_id)


def _changes(data: WorkflowPatch) -> Changes:
    given = {
        name: value
        for name in Changes.__struct_fields__
        if (value := getattr(data, name)) is not msgspec.UNSET
    }
    if "name" in given:
        given["name"] = clean_name(given["name"])
    if "description" in given:
        given["description"] = clean_description(given["description"])
    if "category" in given:
        given["category"] = clean_label(given["category"], "category")
    if "tags" in given:
        given["tags"] = clean_tags(given["tags"])
    return Changes(**given)


@delete("/{workflow_id:str}", responses=problems(404), summary="Delete a workflow")
async def delete_workflow(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], workflow_id: WorkflowId
) -> None:
    """Remove a workflow with its versions and executions; what runs of it ends."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find_to_change(conn, caller, workflow_id)
        await workflows.delete_workflow(conn, workflow_id)
        async with as_service(conn):
            await audit(conn, caller, "workflow.deleted", "workflow", row.id, team_id=row.team_id)


@post(
    "/{workflow_id:str}/activate",
    status_code=200,
    responses=problems(404, 422),
    summary="Activate a workflow",
)
async def activate_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
) -> Workflow:
    """Let its triggers start it. Refused where something stands against that: `issues` of the reply says all of it."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find_to_change(conn, caller, workflow_id)
        await store_changes(conn, caller, row, Changes(status="ACTIVE"), action="workflow.activated")
        return await show(conn, caller, deployment, workflow_id)


@post(
    "/{workflow_id:str}/deactivate", status_code=200, responses=problems(404), summary="Deactivate a workflow"
)
async def deactivate_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
) -> Workflow:
    """Pause it: nothing starts it any more, and what runs goes on. One that is not active stays as it is."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find_to_change(conn, caller, workflow_id)
        if row.status == "ACTIVE":
            await store_changes(conn, caller, row, Changes(status="PAUSED"), action="workflow.deactivated")
        return await show(conn, caller, deployment, workflow_id)


workflows_router = Router(
    "/v1/workflows",
    tags=["workflows"],
    request_max_body_size=MAX_BODY_BYTES,
    route_handlers=[
        create_workflow,
        list_workflows,
        list_node_types,
        validate_workflow,
        import_workflow,
        list_public_workflows,
        get_public_workflow,
        get_workflow,
        update_workflow,
        delete_workflow,
        activate_workflow,
        deactivate_workflow,
        clone_workflow,
        list_versions,
        get_version,
        compare_versions,
        restore_version,
        export_workflow,
    ],
)
