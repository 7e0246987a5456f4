"""Public workflows: active ones that their people let everybody see and copy, without what is secret in them."""

from typing import Any

from litestar import get
from litestar.di import NamedDependency

from db.pool import Pool
from db.tenancy import as_system
from db.workflows import Cursor, PublicRow, Wanted, find_public, list_public
from service.cursors import decode_cursor, encode_cursor
from service.engine.sharing import strip_credentials
from service.errors import not_found
from service.openapi import problems
from service.schemas import Page
from service.workflows.fields import After, Category, Limit, Tag, Text, WorkflowId
from service.workflows.schemas import PublicListed, PublicWorkflow


@get("/public", responses=problems(), summary="List public workflows")
async def list_public_workflows(
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    category: Category = None,
    tag: Tag = None,
    q: Text = None,
) -> Page[PublicListed]:
    """Return the public workflows that are active, newest first."""
    wanted = Wanted(category=category, tag=tag, text=q)
    async with as_system(pool) as conn:
        rows = await list_public(conn, wanted, limit=limit + 1, after=decode_cursor(after, Cursor))
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[PublicListed.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/public/{workflow_id:str}", responses=problems(404), summary="Get a public workflow")
async def get_public_workflow(pool: NamedDependency[Pool], workflow_id: WorkflowId) -> PublicWorkflow:
    """Return a public workflow that is active, without credentials and addresses of webhooks."""
    async with as_system(pool) as conn:
        row = await find_public(conn, workflow_id)
    if row is None:
        raise not_found("workflow")
    return _shown(row)


def _shown(row: PublicRow) -> PublicWorkflow:
    return PublicWorkflow(
        id=row.id,
        name=row.name,
        description=row.description,
        category=row.category,
        tags=row.tags,
        nodes=strip_credentials(row.nodes) if isinstance(row.nodes, list) else [],
        connections=strip_credentials(row.connections) if isinstance(row.connections, list) else [],
        settings=shared_settings(row.settings),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def shared_settings(settings: Any) -> Any:
    """Return settings without the workflow that is run on errors, which is of its owner's."""
    if not isinstance(settings, dict):
        return None
    [shared] = strip_credentials([settings])
    return {name: value for name, value in shared.items() if name != "errorWorkflow"}
