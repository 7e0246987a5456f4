"""The jobs of workflows.

Running one twice is harmless: a run that is driven, or has ended, is left alone; and an execution starts its workflow
for errors once, by its cause.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from db import executions, workflow_runs, workflow_triggers
from db.errors import ExecutionsLimited, Refused
from db.events import Events
from db.jobs import FiredEvent
from db.outage import is_outage
from db.tenancy import as_system
from service.engine.definition import read_definition
from service.engine.errors import EngineError
from service.engine.run.runner import LEASE, Runner
from service.engine.services import Services, open_services
from service.engine.starting import StartLimits, start_execution
from service.runtime import Runtime

log = structlog.get_logger()

_OUTAGE_DELAY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Workflows:
    """What a worker runs workflows with."""

    services: Services
    runner: Runner

    @property
    def limits(self) -> StartLimits:
        return StartLimits.of(self.services.settings)


@contextlib.asynccontextmanager
async def open_workflows(runtime: Runtime, *, lease: timedelta = LEASE) -> AsyncIterator[Workflows]:
    """Open what nodes work with, and listen for runs that others end."""
    async with open_services(runtime) as services, Events().listen(runtime.pool) as events:
        yield Workflows(services, Runner(services, events, lease=lease))


async def run_workflow(workflows: Workflows, job: Job) -> None:
    """Drive the execution that the job names."""
    execution_id = (job.payload or b"").decode()
    try:
        await workflows.runner.run(execution_id)
    except Exception as exc:
        log.exception("run_crashed", execution_id=execution_id)
        delay = _OUTAGE_DELAY if is_outage(exc) else 3 * _OUTAGE_DELAY
        raise RetryRequested(delay, reason=type(exc).__name__) from exc


async def run_error_workflow(workflows: Workflows, job: Job) -> None:
    """Start the workflow for errors of the failed execution that the job names."""
    execution_id = (job.payload or b"").decode()
    try:
        await _start_error_workflow(workflows, execution_id)
    except ExecutionsLimited as exc:
        raise RetryRequested(timedelta(seconds=exc.retry_after_s), reason=str(exc)) from exc
    except (Refused, EngineError) as exc:
        log.warning("error_workflow_refused", execution_id=execution_id, reason=str(exc))
    except Exception as exc:
        log.exception("error_workflow_crashed", execution_id=execution_id)
        raise RetryRequested(_OUTAGE_DELAY, reason=type(exc).__name__) from exc


async def _start_error_workflow(workflows: Workflows, execution_id: str) -> None:
    async with as_system(workflows.services.pool) as conn:
        failed = await executions.find_failed(conn, execution_id)
        if failed is None:
            return
        wanted = read_definition([], [], failed.settings).settings.error_workflow
        if wanted is None or wanted == failed.workflow_id:
            return
        if not await workflow_runs.find_callable(conn, failed.space_id, wanted):
            log.warning("error_workflow_missing", execution_id=execution_id)
            return
        await start_execution(
            conn,
            workflow_id=wanted,
            user_id=failed.user_id,
            triggered_by="error",
            data=_describe(failed),
            cause=f"error:{execution_id}",
            depth=failed.depth + 1,
            limits=workflows.limits,
        )


async def fire_event_triggers(workflows: Workflows, job: Job) -> None:
    """Start the workflows that wait for the event that the job names, each once."""
    event = msgspec.json.decode(job.payload or b"", type=FiredEvent)
    try:
        await _start_all(workflows, event)
    except RetryRequested:
        raise
    except Exception as exc:
        log.exception("event_crashed", event_type=event.event_type)
        raise RetryRequested(_OUTAGE_DELAY, reason=type(exc).__name__) from exc


async def _start_all(workflows: Workflows, event: FiredEvent) -> None:
    limited: ExecutionsLimited | None = None
    pool = workflows.services.pool
    async with as_system(pool) as conn:
        triggers = await workflow_triggers.list_event_triggers(conn, event.space_id, event.event_type)
        origin = None if event.origin is None else await workflow_triggers.find_depth(conn, event.origin)
    for trigger in triggers:
        if origin is not None and origin[0] == trigger.workflow_id:
            # Its own document: it would go round for ever.
            continue
        try:
            await _fire(workflows, event, trigger, 0 if origin is None else origin[1] + 1)
        except ExecutionsLimited as exc:
            limited = exc
        except (Refused, EngineError) as exc:
            log.warning("event_trigger_refused", workflow_id=trigger.workflow_id, reason=str(exc))
    if limited is not None:
        # As many run as may: it comes back, and starts none of those twice that it has started.
        raise RetryRequested(timedelta(seconds=limited.retry_after_s), reason=str(limited)) from limited


async def _fire(
    workflows: Workflows, event: FiredEvent, trigger: workflow_triggers.EventTrigger, depth: int
) -> None:
    async with as_system(workflows.services.pool) as conn:
        await start_execution(
            conn,
            workflow_id=trigger.workflow_id,
            user_id=trigger.user_id,
            triggered_by="event",
            data=event.data,
            trigger={"event": event.event_type, "event_id": event.event_id},
            start_node=trigger.node_id,
            cause=f"event:{event.event_id}:{trigger.trigger_id}",
            depth=depth,
            limits=workflows.limits,
        )
        await workflow_triggers.note_fired(conn, trigger.trigger_id)


def _describe(failed: executions.FailedExecution) -> dict[str, Any]:
    """Return what a workflow for errors gets, as n8n's error trigger has it."""
    return {
        "execution": {
            "id": failed.execution_id,
            "status": failed.status,
            "mode": failed.triggered_by,
            "retry_of": failed.retry_of,
            "error": failed.error,
            "last_node_executed": (failed.error or {}).get("node"),
        },
        "workflow": {"id": failed.workflow_id, "name": failed.workflow_name},
    }
