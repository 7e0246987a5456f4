"""The end of a run, in one transaction: its execution, whoever waits for it, and whoever should hear of it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from db import workflow_runs
from db.jobs import enqueue_error_workflow, enqueue_run
from db.notifications import notify
from db.outbox import emit
from db.pool import Conn
from db.tenancy import as_system
from db.usage import UsageEntry, insert_usage
from db.workflow_people import is_in_team
from db.workflow_runs import ClaimedRun
from service.engine.definition import WorkflowSettings
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog, shown_error
from service.engine.run.turn import RunInterrupted
from service.engine.services import Services
from service.engine.values import MAX_INPUT_BYTES, too_large


@dataclass(frozen=True, slots=True)
class Ending:
    status: Literal["SUCCESS", "FAILED", "TIMEOUT"]
    output: Any
    error: dict[str, Any] | None


_HAPPENED: dict[str, Literal["run.succeeded", "run.failed", "run.timed_out"]] = {
    "SUCCESS": "run.succeeded",
    "FAILED": "run.failed",
    "TIMEOUT": "run.timed_out",
}


async def end_run(
    services: Services,
    claimed: ClaimedRun,
    settings: WorkflowSettings,
    ending: Ending,
    ledger: RunLedger,
    log: RunLog,
) -> None:
    """Raises RunInterrupted where the run is not ours to end: nothing is told then.

    Whoever waits for it is given a job, which finds that it has ended: jobs are seen when this commits.
    """
    if ending.error is not None:
        ending = replace(ending, error=shown_error(ending.error))
    log.add(_HAPPENED[ending.status], error=ending.error)
    async with ledger.lock, as_system(services.pool) as conn:
        if ending.status != "SUCCESS":
            # What is done stays done, should somebody take the run up.
            await ledger.flush_in(conn)
        has_rows, entries = ledger.take_rest()
        await tell(conn, claimed, settings, ending)
        # Last: it counts in the row of the workflow, for which all of its runs take turns until they have committed.
        ended = await workflow_runs.finish_run(
            conn,
            claimed.execution_id,
            claimed.epoch,
            status=ending.status,
            output=_bounded(ending.output),
            error=ending.error,
            entries=entries,
            has_rows=has_rows,
        )
        if not ended:
            raise RunInterrupted


async def tell(conn: Conn, claimed: ClaimedRun, settings: WorkflowSettings, ending: Ending) -> None:
    """Wake who waits for the run; count it; tell webhooks, its owner, and the workflow for errors."""
    if claimed.parent_step is not None and claimed.parent_execution_id is not None:
        await enqueue_run(conn, claimed.parent_execution_id)
    await insert_usage(conn, [_usage(claimed, ending)])
    if claimed.plan.get("mode") == "test":
        return
    succeeded = ending.status == "SUCCESS"
    await emit(
        conn,
        claimed.space_id,
        "workflow.completed" if succeeded else "workflow.failed",
        {
            "execution_id": claimed.execution_id,
            "workflow_id": claimed.workflow_id,
            "workflow_name": claimed.workflow_name,
            "status": ending.status,
            "triggered_by": claimed.triggered_by,
            "team_id": claimed.team_id,
            "error": _named(ending.error),
        },
    )
    if settings.notify_on_success if succeeded else settings.notify_on_failure:
        await _notify(conn, claimed, ending)
    if not succeeded and settings.error_workflow and claimed.triggered_by not in {"manual", "error"}:
        await enqueue_error_workflow(conn, claimed.execution_id)


async def _notify(conn: Conn, claimed: ClaimedRun, ending: Ending) -> None:
    """Tell whose run it is, unless they have left the team meanwhile."""
    if claimed.team_id is not None and not await is_in_team(conn, claimed.team_id, claimed.user_id):
        return
    data = {
        "workflow_id": claimed.workflow_id,
        "execution_id": claimed.execution_id,
        "team_id": claimed.team_id,
    }
    if ending.status == "SUCCESS":
        title, message = "A workflow has run", f"{claimed.workflow_name} is through."
        await notify(conn, [claimed.user_id], "WORKFLOW_SUCCESS", title, message, data)
        return
    error = ending.error or {}
    where = f" at {error['name']}" if error.get("name") else ""
    message = f"{claimed.workflow_name} failed{where}: {error.get('message', '')}"
    await notify(conn, [claimed.user_id], "WORKFLOW_FAILED", "A workflow failed", message[:1000], data)


def _named(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return which node failed and how it is called; what it said may hold text of documents."""
    return None if error is None else {"node": error.get("node"), "code": error.get("code")}


def _usage(claimed: ClaimedRun, ending: Ending) -> UsageEntry:
    return UsageEntry(
        user_id=claimed.user_id,
        team_id=claimed.team_id,
        resource="execution",
        resource_id=claimed.execution_id,
        action="run",
        metadata={"workflow_id": claimed.workflow_id, "status": ending.status},
    )


def _bounded(output: Any) -> Any:
    size = len(msgspec.json.encode(output))
    if size <= MAX_INPUT_BYTES:
        return output
    return too_large(size)
