"""The one way by which runs begin: execution, run and job in the caller's transaction, within the limits."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.errors import ExecutionsLimited
from db.executions import (
    TriggeredBy,
    count_load,
    find_cause,
    insert_execution,
    insert_run,
    is_test,
    lock_cause,
)
from db.jobs import enqueue_run
from db.pool import Conn
from db.workflow_versions import ensure_version, find_start
from service.engine.errors import EngineError
from service.engine.values import storable
from service.settings import Settings

MAX_DEPTH = 5
"""Sub-workflows and events that may call each other."""

_CONCURRENT_RETRY_S = 5.0


class TooDeep(EngineError):
    """Workflows call each other without end."""

    def __init__(self) -> None:
        super().__init__(f"Workflows may call each other {MAX_DEPTH} deep, and this is deeper.")


class WorkflowGone(EngineError):
    """The workflow was deleted."""


class StartGone(EngineError):
    """The node that was to begin is not in the version that runs, or the trigger that fired is disabled there."""


@dataclass(frozen=True, slots=True)
class StartLimits:
    """What a deployment allows each person or team, beside their plan; None for no limit."""

    per_minute: int | None = None
    concurrent: int | None = None
    time_s: float = 3600.0

    @classmethod
    def of(cls, settings: Settings) -> "StartLimits":
        return cls(
            per_minute=settings.workflow_max_executions_per_minute,
            concurrent=settings.workflow_max_concurrent_executions,
            time_s=settings.workflow_execution_timeout,
        )


@dataclass(frozen=True, slots=True)
class Parent:
    """The execution that calls another, the step of it that does, and whether that waits."""

    execution_id: str
    step: str
    waits: bool
    root_id: str
    """What the effects of the called one go by, however often that step is tried."""


@dataclass(frozen=True, slots=True)
class Retried:
    """The failed execution that is taken up."""

    execution_id: str
    root_id: str
    retry_count: int


async def start_execution(
    conn: Conn,
    *,
    workflow_id: str,
    user_id: str,
    triggered_by: TriggeredBy,
    data: Any,
    trigger: Mapping[str, Any] | None = None,
    start_node: str | None = None,
    cause: str | None = None,
    version: int | None = None,
    plan: Mapping[str, Any] | None = None,
    depth: int = 0,
    parent: Parent | None = None,
    retried: Retried | None = None,
    time_s: float | None = None,
    limits: StartLimits,
) -> str | None:
    """Return the new execution's id, None where cause has started one before (db.executions.find_cause says which).

    conn is the service's, in a transaction, which is undone where this raises: PlanLimitReached, ExecutionsLimited,
    TooDeep, WorkflowGone, StartGone, TooLarge. data is what the first node gets; trigger what else is known of the
    start. Without a version, the workflow runs as it stands. plan: {"only": node, "pinned": {node: [items]},
    "mode": "test"}; what a test calls is a test.
    """
    if depth > MAX_DEPTH:
        raise TooDeep
    if cause is not None:
        await lock_cause(conn, cause)
        if await find_cause(conn, cause) is not None:
            return None
    number = version or await ensure_version(conn, workflow_id)
    if number is None:
        raise WorkflowGone("The workflow was deleted.")
    if start_node is not None:
        await _require_start(conn, workflow_id, number, start_node, triggered_by)
    if parent is not None and await is_test(conn, parent.execution_id):
        plan = {**(plan or {}), "mode": "test"}
    execution_id = str(uuid.uuid4())
    await insert_execution(
        conn,
        execution_id=execution_id,
        workflow_id=workflow_id,
        user_id=user_id,
        triggered_by=triggered_by,
        data=storable(data, "What the workflow is started with"),
        version=number,
        retry_of=retried.execution_id if retried else None,
        retry_count=retried.retry_count if retried else 0,
        parent_execution_id=parent.execution_id if parent else None,
    )
    space_id = await insert_run(
        conn,
        execution_id=execution_id,
        workflow_id=workflow_id,
        version=number,
        plan=_plan(plan, trigger, start_node, triggered_by),
        root_id=retried.root_id if retried else parent.root_id if parent else execution_id,
        depth=depth,
        parent_step=parent.step if parent else None,
        waited_for=parent is not None and parent.waits,
        cause=cause,
        time_left_s=time_s or limits.time_s,
    )
    if parent is None:
        await _check_load(conn, space_id, limits)
    await enqueue_run(conn, execution_id)
    return execution_id


async def _require_start(
    conn: Conn, workflow_id: str, version: int, node_id: str, triggered_by: TriggeredBy
) -> None:
    """Whoever names a node, or a trigger of it, may have seen the workflow before it was changed."""
    found = await find_start(conn, workflow_id, version, node_id)
    if found == "gone":
        raise StartGone(f"The workflow has no node {node_id[:100]!r}.")
    if found == "disabled" and triggered_by in {"webhook", "schedule", "event"}:
        raise StartGone(f"The trigger {node_id[:100]!r} is disabled.")


def _plan(
    plan: Mapping[str, Any] | None,
    trigger: Mapping[str, Any] | None,
    start_node: str | None,
    triggered_by: TriggeredBy,
) -> dict[str, Any]:
    whole = {"mode": triggered_by, "start": start_node, "trigger": dict(trigger or {})} | dict(plan or {})
    stored: dict[str, Any] = storable(whole, "What is known of the start")
    return stored


async def _check_load(conn: Conn, space_id: str, limits: StartLimits) -> None:
    """The new run is among those that are counted."""
    load = await count_load(conn, space_id)
    concurrent = _least(load.active_allowed, limits.concurrent)
    if concurrent is not None and load.active > concurrent:
        raise ExecutionsLimited("concurrent", concurrent, _CONCURRENT_RETRY_S)
    per_minute = _least(load.per_minute_allowed, limits.per_minute)
    if per_minute is not None and load.in_last_minute > per_minute:
        raise ExecutionsLimited("per_minute", per_minute, max(1.0, 60.0 - load.oldest_s))


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)
