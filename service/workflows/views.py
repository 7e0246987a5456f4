"""A workflow as its reply has it: the row, its triggers, and what is wrong with it."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from db.pool import Conn
from db.schedules import ScheduleRow, list_schedules
from db.tenancy import as_service
from db.workflow_triggers import TriggerRow, TriggerType, list_triggers
from db.workflows import WorkflowRow
from service.auth.caller import Caller
from service.settings import Settings
from service.workflows.access import find, may_run
from service.workflows.drawing import look_at
from service.workflows.schemas import Schedule, Trigger, Workflow, common_fields

_KINDS: Mapping[TriggerType, Literal["manual", "webhook", "schedule", "api", "event"]] = {
    "MANUAL": "manual",
    "WEBHOOK": "webhook",
    "SCHEDULE": "schedule",
    "API": "api",
    "EVENT": "event",
}


async def show(conn: Conn, caller: Caller, deployment: Settings, workflow_id: str) -> Workflow:
    """Return a workflow of the caller's as it stands. Raises Problem 404."""
    row = await find(conn, caller, workflow_id)
    async with as_service(conn):  # tokens are nobody's to read in SQL
        triggers = await list_triggers(conn, workflow_id)
    schedules = {one.node_id: one for one in await list_schedules(conn, workflow_id)}
    # Who has the address of a webhook can run it.
    hooks = f"{deployment.outside_url}/v1/hooks" if may_run(caller, row) else None
    return Workflow(
        **common_fields(row),
        nodes=row.nodes,
        connections=row.connections,
        settings=row.settings,
        triggers=[_trigger(one, schedules.get(one.node_id), hooks) for one in _in_order(triggers, row)],
        issues=await asyncio.to_thread(look_at, row.nodes, row.connections, row.settings),
    )


def _in_order(triggers: list[TriggerRow], row: WorkflowRow) -> list[TriggerRow]:
    """Return them as they are drawn, those that stand for no node at the end."""
    nodes = row.nodes if isinstance(row.nodes, list) else []
    places = {node.get("id"): place for place, node in enumerate(nodes) if isinstance(node, dict)}
    return sorted(triggers, key=lambda one: places.get(one.node_id, len(places)))


def _trigger(row: TriggerRow, schedule: ScheduleRow | None, hooks: str | None) -> Trigger:
    is_hook = row.type == "WEBHOOK" and hooks is not None
    return Trigger(
        node_id=row.node_id,
        kind=_KINDS[row.type],
        is_active=row.is_active,
        url=f"{hooks}/{row.token}" if is_hook and row.token else None,
        test_url=f"{hooks}/test/{row.test_token}" if is_hook and row.test_token else None,
        event=row.event_type,
        schedule=None
        if schedule is None or row.type != "SCHEDULE"
        else Schedule(
            cron=schedule.cron,
            timezone=schedule.timezone,
            next_run_at=schedule.next_run_at,
            last_run_at=schedule.last_run_at,
            last_problem=schedule.last_problem,
        ),
    )
