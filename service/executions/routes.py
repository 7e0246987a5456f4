"""/v1/executions, and the two ways of starting one by hand."""

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from litestar import Response, Router, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import ServerSentEvent

from db import execution_history
from db.events import Events
from db.execution_history import Cursor, WaitingRow
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.auth.caller import Caller
from service.auth.guard import is_still_valid
from service.cursors import decode_cursor, encode_cursor
from service.engine.errors import EngineError
from service.engine.starting import StartLimits
from service.engine.values import storable
from service.errors import Problem, not_found
from service.executions import acting
from service.executions.live import follow, wait_until_ended
from service.executions.schemas import (
    Cause,
    Execution,
    ExecutionWithData,
    LogEntry,
    ResumeBody,
    RunBody,
    RunNodeBody,
    Started,
    Status,
)
from service.openapi import problems
from service.schemas import Page
from service.settings import Settings

ExecutionId = Annotated[str, PathParameter(description="The execution's id.", max_length=100)]
WorkflowId = Annotated[str, PathParameter(description="The workflow's id.", max_length=100)]
NodeId = Annotated[str, PathParameter(description="The node's id.", max_length=200)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
Wait = Annotated[
    float, QueryParameter(ge=0, le=60, description="Seconds to hold the reply until the execution has ended.")
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key", max_length=255, description="A repeat with the same key starts nothing again."
    ),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", max_length=20, description="The id of the last event received."),
]
_RUN_AS_IS = RunBody()
_RUN_NODE_AS_IS = RunNodeBody()


@post(
    "/v1/workflows/{workflow_id:str}/run",
    status_code=202,
    tags=["executions"],
    responses=problems(402, 404, 409, 422, 429),
    summary="Run a workflow",
)
async def run_workflow(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
    data: JSONBody[RunBody] = _RUN_AS_IS,
    wait: Wait = 0,
    idempotency_key: IdempotencyKey = None,
) -> Response[ExecutionWithData]:
    """Start the workflow as it stands, active or not; 200 with its output where it ends while it is waited for."""
    execution_id = await acting.start(
        pool,
        caller,
        workflow_id,
        StartLimits.of(deployment),
        data=data.input,
        start_node=data.start_node,
        plan=None if data.pinned is None else {"pinned": data.pinned},
        idempotency_key=idempotency_key or None,  # an empty one is none
    )
    return await _started(pool, event_feed, caller, execution_id, wait)


@post(
    "/v1/workflows/{workflow_id:str}/nodes/{node_id:str}/run",
    status_code=202,
    tags=["executions"],
    responses=problems(402, 404, 409, 422, 429),
    summary="Run one node of a workflow",
)
async def run_node(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    deployment: NamedDependency[Settings],
    workflow_id: WorkflowId,
    node_id: NodeId,
    data: JSONBody[RunNodeBody] = _RUN_NODE_AS_IS,
    wait: Wait = 0,
) -> Response[ExecutionWithData]:
    """Run a node alone with the input given, to try it out; its output is the execution's."""
    execution_id = await acting.start(
        pool,
        caller,
        workflow_id,
        StartLimits.of(deployment),
        data=data.input,
        plan={"only": node_id, "pinned": data.pinned or {}},
    )
    return await _started(pool, event_feed, caller, execution_id, wait)


async def _started(
    pool: Pool, events: Events, caller: Caller, execution_id: str, wait: float
) -> Response[ExecutionWithData]:
    row = await wait_until_ended(pool, events, caller, execution_id, wait)
    if row is None:
        raise not_found("execution")
    status = HTTPStatus.ACCEPTED if row.status == "RUNNING" else HTTPStatus.OK
    headers = {"Location": f"/v1/executions/{execution_id}"}
    waiting = await _waiting(pool, caller, row.id) if row.status == "RUNNING" else []
    return Response(ExecutionWithData.from_detail(row, waiting), status_code=status, headers=headers)


async def _waiting(pool: Pool, caller: Caller, execution_id: str) -> list[WaitingRow]:
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        return await execution_history.list_waiting(conn, execution_id)


@get("/", responses=problems(404), summary="List executions")
async def list_executions(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    workflow_id: Annotated[
        str | None, QueryParameter(max_length=100, description="Of this workflow.")
    ] = None,
    status: Annotated[Status | None, QueryParameter(description="Only those in this state.")] = None,
    triggered_by: Annotated[Cause | None, QueryParameter(description="Only those started so.")] = None,
    since: Annotated[datetime | None, QueryParameter(description="Started then or later.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Started before then.")] = None,
    team_id: Annotated[
        str | None, QueryParameter(max_length=100, description="Of this team's workflows.")
    ] = None,
) -> Page[Execution]:
    """Return executions of the caller's workflows and of their teams', newest first."""
    place = decode_cursor(after, Cursor)
    for moment, name in ((since, "since"), (until, "until")):
        if moment is not None and moment.tzinfo is None:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name}: needs a time zone, as 2026-03-01T09:30:00Z.")
        if moment is not None and not 1970 < moment.year < 9999:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name}: is beyond the calendar.")
    if team_id is not None:
        caller.require("workflows:read", team_id)
    if workflow_id is not None and "\x00" in workflow_id:
        raise not_found("workflow")
    async with as_caller(pool, caller.subject) as conn:
        rows = await execution_history.list_executions(
            conn,
            caller.spaces if team_id is None else [team_id],
            limit=limit + 1,
            after=place,
            workflow_id=workflow_id,
            status=status,
            triggered_by=triggered_by,
            since=since,
            until=until,
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Execution.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].started_at, shown[-1].id)) if more else None,
    )


@get("/{execution_id:str}", responses=problems(404), summary="Get an execution")
async def get_execution(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], execution_id: ExecutionId
) -> ExecutionWithData:
    """Return an execution with its data, and what it waits for while it runs."""
    row = await acting.find(pool, caller, execution_id)
    return ExecutionWithData.from_detail(row, await _waiting(pool, caller, row.id))


@delete("/{execution_id:str}", responses=problems(404, 409), summary="Delete an execution")
async def delete_execution(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], execution_id: ExecutionId
) -> None:
    """Delete an execution that has ended, with its log. The workflow's statistics stay as they are."""
    row = await acting.find(pool, caller, execution_id)
    acting.require_run(caller, row)
    async with as_caller(pool, caller.subject) as conn:
        if not await execution_history.delete_execution(conn, caller.spaces, row.id):
            raise Problem(HTTPStatus.CONFLICT, "The execution is running: cancel it first.")


@get("/{execution_id:str}/logs", responses=problems(404), summary="Read an execution's log")
async def list_logs(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    execution_id: ExecutionId,
    limit: Limit = 100,
    after: After = None,
    node: Annotated[str | None, QueryParameter(max_length=200, description="Of this node alone.")] = None,
    event: Annotated[str | None, QueryParameter(max_length=40, description="As node.failed.")] = None,
) -> Page[LogEntry]:
    """Return what happened, in order: each start, end, retry and error, with times and the beginning of the data."""
    row = await acting.find(pool, caller, execution_id)
    place = decode_cursor(after, int)
    if place is not None and not -1 <= place < 2**31:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.")
    if "\x00" in (node or "") + (event or ""):
        return Page(data=[], has_more=False, next_cursor=None)
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        rows = await execution_history.list_log(
            conn, row.id, after=-1 if place is None else place, limit=limit + 1, node=node, event=event
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[LogEntry.from_row(one) for one in shown],
        has_more=more,
        next_cursor=encode_cursor(shown[-1].place) if more else None,
    )


@get(
    "/{execution_id:str}/events",
    responses=problems(404),
    media_type="text/event-stream",
    summary="Follow an execution",
)
async def follow_execution(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    execution_id: ExecutionId,
    state: State,
    last_event_id: LastEventId = None,
) -> ServerSentEvent:
    """Send a `log` event for each entry of the log, and `ended` with the execution; or end with the key."""
    row = await acting.find(pool, caller, execution_id)
    given = last_event_id or "-1"
    if not given.lstrip("-").isascii() or not given.lstrip("-").isdigit() or abs(int(given)) >= 2**31:
        raise Problem(HTTPStatus.BAD_REQUEST, "Last-Event-ID: not an id of this stream.")
    valid = partial(is_still_valid, state, caller)
    return ServerSentEvent(follow(pool, event_feed, caller, row.id, max(int(given), -1), valid))


@post(
    "/{execution_id:str}/cancel", status_code=200, responses=problems(404, 409), summary="Cancel an execution"
)
async def cancel_execution(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], execution_id: ExecutionId
) -> ExecutionWithData:
    """Stop it, and what it has called, within a second. What it has done stays done."""
    row = await acting.find(pool, caller, execution_id)
    if not await acting.cancel(pool, caller, row):
        raise Problem(HTTPStatus.CONFLICT, "The execution has ended.")
    return ExecutionWithData.from_detail(await acting.find(pool, caller, execution_id), [])


@post(
    "/{execution_id:str}/retry",
    status_code=202,
    responses=problems(402, 404, 409, 422, 429),
    summary="Take up a failed execution",
)
async def retry_execution(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    deployment: NamedDependency[Settings],
    execution_id: ExecutionId,
    wait: Wait = 0,
) -> Response[ExecutionWithData]:
    """Run it on from the node that failed, as a new execution; what was done before is not done again."""
    row = await acting.find(pool, caller, execution_id)
    started = await acting.retry(pool, caller, row, StartLimits.of(deployment))
    return await _started(pool, event_feed, caller, started, wait)


@post(
    "/{execution_id:str}/resume", status_code=202, responses=problems(404, 409), summary="Answer an execution"
)
async def resume_execution(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    execution_id: ExecutionId,
    data: JSONBody[ResumeBody],
) -> Started:
    """Give a wait node the reply that it waits for."""
    row = await acting.find(pool, caller, execution_id)
    await acting.resume(pool, caller, row, data.node_id, _checked(data.reply))
    return Started(execution_id=row.id, status="RUNNING")


def _checked(reply: Any) -> Any:
    try:
        return storable(reply, "The reply")
    except EngineError as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc


executions_router = Router(
    "/v1/executions",
    tags=["executions"],
    route_handlers=[
        list_executions,
        get_execution,
        delete_execution,
        list_logs,
        follow_execution,
        cancel_execution,
        retry_execution,
        resume_execution,
    ],
)

executions_routes: list[HTTPRouteHandler | Router] = [run_workflow, run_node, executions_router]
