"""From trigger nodes to the rows that webhooks, schedules and events find them by."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from db import schedules, workflow_triggers
from db.pool import Conn
from db.schedules import ScheduleSpec
from db.workflow_triggers import TriggerSpec, TriggerType
from service.engine.cron import next_tick
from service.engine.definition import Definition, NodeDef
from service.engine.graph import TRIGGER
from service.engine.nodes.trigger import trigger_kind

_TYPES: Mapping[str, TriggerType] = {
    "manual": "MANUAL",
    "webhook": "WEBHOOK",
    "schedule": "SCHEDULE",
    "api": "API",
    "event": "EVENT",
}
_TOKEN_BYTES = 24


async def sync_triggers(conn: Conn, workflow_id: str, definition: Definition, *, active: bool) -> None:
    """Make a workflow's triggers and schedules what its nodes say, in the transaction that changes them.

    conn is the service's. Only an active workflow has active ones, of nodes that are not disabled: those of others are
    kept, with their addresses. A schedule that cannot be read has no row yet.
    """
    nodes = [node for node in definition.nodes if node.type == TRIGGER]
    await workflow_triggers.sync_triggers(conn, workflow_id, [_trigger(node, active) for node in nodes])
    zone = definition.settings.timezone or "UTC"
    specs = [spec for node in nodes if (spec := _schedule(node, zone, active)) is not None]
    await schedules.sync_schedules(conn, workflow_id, specs)


def _trigger(node: NodeDef, active: bool) -> TriggerSpec:
    kind = trigger_kind(node.data)
    event = node.data.get("event")
    return TriggerSpec(
        node_id=node.id,
        type=_TYPES.get(kind, "MANUAL"),
        config=node.data,
        event_type=event if kind == "event" and isinstance(event, str) else None,
        token=secrets.token_urlsafe(_TOKEN_BYTES),
        test_token=secrets.token_urlsafe(_TOKEN_BYTES),
        active=active and not node.disabled,
    )


def _schedule(node: NodeDef, zone: str, active: bool) -> ScheduleSpec | None:
    data: Mapping[str, Any] = node.data
    cron, timezone = data.get("cron"), data.get("timezone") or zone
    if trigger_kind(data) != "schedule" or not isinstance(cron, str) or not isinstance(timezone, str):
        return None
    try:
        following = next_tick(cron, timezone, datetime.now(UTC))
    except ValueError:
        return None
    missed, overlap = data.get("missed"), data.get("overlap")
    return ScheduleSpec(
        node_id=node.id,
        cron=cron,
        timezone=timezone,
        missed=missed if missed in ("skip", "once", "all") else "once",
        overlap="allow" if overlap == "allow" else "skip",
        next_run_at=following,
        active=active and not node.disabled,
    )
