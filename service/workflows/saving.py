"""Writing workflows: each change with its version, its triggers and its line in the audit log, in one transaction."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from db.pool import Conn
from db.tenancy import as_service
from db.workflow_versions import ensure_version
from db.workflows import Changes, WorkflowRow, insert_workflow, update_workflow
from service.audit import audit
from service.auth.caller import Caller
from service.engine.definition import Definition, read_definition
from service.engine.errors import DefinitionError
from service.engine.trigger_rows import sync_triggers
from service.workflows.drawing import checked_drawing, require_runnable


async def store_new(
    conn: Conn,
    caller: Caller,
    definition: Definition,
    *,
    name: str,
    description: str | None,
    nodes: Sequence[Any],
    connections: Sequence[Any],
    settings: Any,
    category: str | None,
    tags: Sequence[str],
    team_id: str | None,
    is_public: bool = False,
    changelog: str | None = None,
    **details: object,
) -> str:
    """Return the id of a new draft; definition is what nodes, connections and settings say."""
    workflow_id = await insert_workflow(
        conn,
        user_id=caller.user_id,
        team_id=team_id,
        name=name,
        description=description,
        nodes=nodes,
        connections=connections,
        settings=settings,
        category=category,
        tags=tags,
        is_public=is_public,
    )
    async with as_service(conn):
        await ensure_version(conn, workflow_id, changelog)
        await sync_triggers(conn, workflow_id, definition, active=False)
        await audit(
            conn,
            caller,
            "workflow.created",
            "workflow",
            workflow_id,
            team_id=team_id,
            is_public=is_public,
            **details,
        )
    return workflow_id


async def store_changes(
    conn: Conn,
    caller: Caller,
    row: WorkflowRow,
    changes: Changes,
    *,
    changelog: str | None = None,
    action: str = "workflow.updated",
) -> None:
    """Change a workflow that is held. Raises Problem 422 where it would be active with errors."""
    given = {
        name: value for name, value in msgspec.structs.asdict(changes).items() if value is not msgspec.UNSET
    }
    status = given.get("status", row.status)
    definition = _definition(row, given)
    if definition is not None and status == "ACTIVE":
        await asyncio.to_thread(require_runnable, definition)
    await update_workflow(conn, row.id, changes)
    async with as_service(conn):
        if given.keys() & {"nodes", "connections"}:
            await ensure_version(conn, row.id, changelog)
        if definition is not None:
            await sync_triggers(conn, row.id, definition, active=status == "ACTIVE")
        await audit(
            conn,
            caller,
            action,
            "workflow",
            row.id,
            team_id=row.team_id,
            changed=sorted(given),
            status=status,
        )


def _definition(row: WorkflowRow, given: dict[str, Any]) -> Definition | None:
    """Return what is drawn after a change, None where the change has nothing to do with it."""
    drawn = [given.get(name, getattr(row, name)) for name in ("nodes", "connections", "settings")]
    if given.keys() & {"nodes", "connections", "settings"} or given.get("status") == "ACTIVE":
        return checked_drawing(*drawn, stored="nodes" not in given)
    if "status" not in given:
        return None
    try:
        return read_definition(*drawn)
    except DefinitionError:
        # Of the web application; what cannot be read can still be paused, and keeps its triggers until it can.
        return None
