"""Whose workflows a caller sees and may change."""

from http import HTTPStatus

from db.pool import Conn
from db.workflows import Owners, WorkflowRow, find_workflow
from service.auth.caller import Caller
from service.errors import Problem, not_found


def owners(caller: Caller) -> Owners:
    return Owners(caller.user_id, caller.teams_with("workflows:read"))


async def find(conn: Conn, caller: Caller, workflow_id: str) -> WorkflowRow:
    """Raises Problem 404."""
    row = await find_workflow(conn, owners(caller), workflow_id)
    if row is None:
        raise not_found("workflow")
    return row


async def find_to_change(
    conn: Conn, caller: Caller, workflow_id: str, *, revision: int | None = None
) -> WorkflowRow:
    """Return a workflow and hold it. Raises Problem 404, 403, and 409 where it is at another revision."""
    seen = await find(conn, caller, workflow_id)
    if seen.team_id is not None:
        caller.require("workflows:write", seen.team_id)
    row = await find_workflow(conn, owners(caller), workflow_id, lock=True)
    if row is None:  # deleted meanwhile
        raise not_found("workflow")
    if revision is not None and row.revision != revision:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"Somebody has changed the workflow: it is at revision {row.revision}, not {revision}. Get it anew, "
            "and make the change there.",
            code="changed_meanwhile",
            revision=row.revision,
        )
    return row


def may_run(caller: Caller, row: WorkflowRow) -> bool:
    return caller.may("workflows:run") and (
        row.team_id is None or row.team_id in caller.teams_with("workflows:run")
    )
