"""/v1/workflows/{workflow_id}/versions: what a workflow was, and going back to it."""

import asyncio
from typing import Annotated, NamedTuple

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from db import workflow_versions
from db.pool import Conn, Pool
from db.tenancy import as_caller
from db.workflow_versions import VersionRow
from db.workflows import Changes
from service.auth.caller import Caller
from service.cursors import decode_cursor, encode_cursor
from service.errors import not_found
from service.openapi import problems
from service.schemas import Page
from service.settings import Settings
from service.workflows.access import find, find_to_change
from service.workflows.compare import Comparison, compare
from service.workflows.fields import After, Limit, WorkflowId
from service.workflows.saving import store_changes
from service.workflows.schemas import Restore, Version, VersionDetail, Workflow
from service.workflows.views import show

_MOST = 2_147_483_647

Number = Annotated[int, PathParameter(ge=1, le=_MOST, description="The version's number.")]
From = Annotated[
    int, QueryParameter(name="from", ge=1, le=_MOST, description="The one that is compared with.")
]
To = Annotated[
    int | None, QueryParameter(name="to", ge=1, le=_MOST, description="The other; unset: the newest.")
]
_UNSAID = Restore()


class Place(NamedTuple):
    """The last version of a page."""

    version: int


@get("/{workflow_id:str}/versions", responses=problems(404), summary="List versions")
async def list_versions(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    workflow_id: WorkflowId,
    limit: Limit = 50,
    after: After = None,
) -> Page[Version]:
    """Return the versions of a workflow's nodes and connections, newest first."""
    place = decode_cursor(after, Place)
    async with as_caller(pool, caller.subject) as conn:
        await find(conn, caller, workflow_id)
        rows = await workflow_versions.list_versions(
            conn,
            workflow_id,
            limit=limit + 1,
            before=None if place is None else max(0, min(place.version, _MOST)),
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Version.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Place(shown[-1].version)) if more else None,
    )


@get("/{workflow_id:str}/versions/{version:int}", responses=problems(404), summary="Get a version")
async def get_version(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    workflow_id: WorkflowId,
    version: Number,
) -> VersionDetail:
    """Return what the nodes and connections were."""
    async with as_caller(pool, caller.subject) as conn:
        await find(conn, caller, workflow_id)
        return VersionDetail.from_row(await _find(conn, workflow_id, version))


@get("/{workflow_id:str}/compare", responses=problems(404), summary="Compare versions")
async def compare_versions(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    workflow_id: WorkflowId,
    from_: From,
    to: To = None,
) -> Comparison:
    """Say what is different between two versions: nodes, their fields, and connections."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find(conn, caller, workflow_id)
        old = await _find(conn, workflow_id, from_)
        new = await _find(conn, workflow_id, to or row.version or 0)
    return await asyncio.to_thread(
        compare, (old.version, old.nodes, old.connections), (new.version, new.nodes, new.connections)
    )


@post(
    "/{workflow_id:str}/versions/{version:int}/restore",
    status_code=200,
    responses=problems(404, 409, 422),
    summary="Restore a version",
)
async def restore_version(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
    version: Number,
    data: JSONBody[Restore] = _UNSAID,
) -> Workflow:
    """Make nodes and connections what they were: a new version, so that nothing is lost."""
    async with as_caller(pool, caller.subject) as conn:
        row = await find_to_change(conn, caller, workflow_id, revision=data.revision)
        old = await _find(conn, workflow_id, version)
        await store_changes(
            conn,
            caller,
            row,
            Changes(nodes=old.nodes, connections=old.connections),
            changelog=f"Restored version {version}",
            action="workflow.restored",
        )
        return await show(conn, caller, deployment, workflow_id)


async def _find(conn: Conn, workflow_id: str, version: int) -> VersionRow:
    row = await workflow_versions.find_version(conn, workflow_id, version)
    if row is None:
        raise not_found("version")
    return row
