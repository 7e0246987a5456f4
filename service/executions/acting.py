"""Starting, retrying, answering and canceling runs, each in one transaction and within the caller's rights."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from db import execution_history, workflow_steps
from db.execution_history import ExecutionDetail, Runnable
from db.executions import find_cause
from db.jobs import enqueue_run
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.auth.caller import Caller
from service.engine.definition import Definition, read_definition
from service.engine.errors import EngineError
from service.engine.graph import LOOP
from service.engine.nodes.loop import NEXT
from service.engine.starting import Retried, StartLimits, TooDeep, start_execution
from service.errors import Problem, not_found


async def start(
    pool: Pool,
    caller: Caller,
    workflow_id: str,
    limits: StartLimits,
    *,
    data: Any,
    start_node: str | None = None,
    plan: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> str:
    """Start a workflow as it stands, for the caller; return the execution's id.

    One that is not active runs as a test: nobody is told of its end. Raises Problem, and what start_execution raises.
    """
    workflow = await find_runnable(pool, caller, workflow_id)
    definition = _read(workflow)
    _require_start(definition, start_node)
    whole: dict[str, Any] = dict(plan or {})
    if whole.get("only") is not None:
        _require_node(definition, whole["only"], runs_alone=True)
    for node_id in whole.get("pinned") or {}:
        _require_node(definition, node_id)
    if workflow.status != "ACTIVE" or not workflow.is_active or whole:
        whole["mode"] = "test"
    whole["key_id"] = caller.key_id
    cause = None if idempotency_key is None else f"run:{caller.user_id}:{workflow_id}:{idempotency_key}"
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        try:
            started = await start_execution(
                conn,
                workflow_id=workflow_id,
                user_id=caller.user_id,
                triggered_by="manual" if caller.key_id is None else "api",
                data=data,
                start_node=start_node,
                cause=cause,
                plan=whole,
                limits=limits,
            )
        except EngineError as exc:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc
        if started is None and cause is not None:
            started = await find_cause(conn, cause)
    if started is None:
        raise not_found("workflow")
    return started


async def find_runnable(pool: Pool, caller: Caller, workflow_id: str) -> Runnable:
    """Return a workflow that the caller may run. Raises 404, 403 and 409."""
    if "\x00" in workflow_id:
        raise not_found("workflow")
    async with as_caller(pool, caller.subject) as conn:
        workflow = await execution_history.find_runnable(conn, caller.spaces, workflow_id)
    if workflow is None:
        raise not_found("workflow")
    if workflow.team_id is not None:
        caller.require("workflows:run", workflow.team_id)
    if workflow.status == "ARCHIVED":
        raise Problem(HTTPStatus.CONFLICT, "The workflow is archived: set its status to DRAFT to run it.")
    return workflow


def _read(workflow: Runnable) -> Definition:
    try:
        return read_definition(workflow.nodes, workflow.connections, workflow.settings)
    except EngineError as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc


def _require_node(definition: Definition, node_id: str | None, *, runs_alone: bool = False) -> None:
    if node_id is None:
        return
    node = next((one for one in definition.nodes if one.id == node_id), None)
    if node is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"The workflow has no node {node_id[:100]!r}.")
    if runs_alone and node.type == LOOP:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "A loop cannot be run without what is in it.")


def _require_start(definition: Definition, node_id: str | None) -> None:
    """What others lead to would be passed over with them."""
    _require_node(definition, node_id)
    if any(one.target == node_id and one.enters_by != NEXT for one in definition.connections):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "A run begins at a trigger, or at a node that no other leads to.",
        )


async def retry(pool: Pool, caller: Caller, row: ExecutionDetail, limits: StartLimits) -> str:
    """Take a failed execution up where it failed, as a new one of the same version. Raises Problem."""
    await find_runnable(pool, caller, row.workflow_id)
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        base = await execution_history.find_retry_base(conn, row.id)
        if base is None:
            raise Problem(
                HTTPStatus.CONFLICT,
                "Only an execution that failed, timed out or was canceled is tried again.",
            )
        try:
            started = await start_execution(
                conn,
                workflow_id=base.workflow_id,
                user_id=caller.user_id,
                triggered_by="manual" if caller.key_id is None else "api",
                data=base.data,
                version=base.version,
                plan={**base.plan, "retry": True, "key_id": caller.key_id},
                depth=base.depth,
                retried=Retried(row.id, base.root_id, base.retry_count + 1),
                limits=limits,
            )
        except TooDeep as exc:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc
        if started is None:
            raise not_found("workflow")
        await execution_history.copy_progress(conn, row.id, started)
    return started


async def cancel(pool: Pool, caller: Caller, row: ExecutionDetail) -> bool:
    """Cancel an execution, and those that it has called; False where it had ended. Workers stop within a second."""
    require_run(caller, row)
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        canceled = await execution_history.cancel_execution(conn, row.id)
        waiter = await execution_history.find_waiter(conn, row.id) if canceled else None
        if waiter is not None and waiter.parent_step is not None and waiter.parent_execution_id is not None:
            await enqueue_run(conn, waiter.parent_execution_id)
    return bool(canceled)


async def resume(pool: Pool, caller: Caller, row: ExecutionDetail, node_id: str | None, reply: Any) -> str:
    """Give a waiting execution its answer; return the node that gets it. Raises Problem."""
    require_run(caller, row)
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        found = await workflow_steps.resume_reply(conn, row.id, node_id, reply)
        if found is None:
            raise Problem(HTTPStatus.CONFLICT, "Nothing in this execution waits for a reply now.")
        await enqueue_run(conn, row.id)
    return found


def require_run(caller: Caller, row: ExecutionDetail) -> None:
    if row.team_id is not None:
        caller.require("workflows:run", row.team_id)


async def find(pool: Pool, caller: Caller, execution_id: str) -> ExecutionDetail:
    """Return an execution that the caller may see. Raises 404."""
    if "\x00" in execution_id:
        raise not_found("execution")
    async with as_caller(pool, caller.subject) as conn:
        row = await execution_history.find_execution(conn, caller.spaces, execution_id)
    if row is None:
        raise not_found("execution")
    return row
