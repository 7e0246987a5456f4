"""The jobs of workflows.

Running one twice is harmless: a run that is driven, or has ended, is left alone; and an execution starts its workflow
for errors once, by its cause.
"""

from datetime import timedelta
from typing import Any

import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from db import executions
from db.errors import Refused
from db.outage import is_outage
from db.tenancy import as_system
from service.engine.definition import read_definition
from service.engine.errors import EngineError
from service.engine.run.runner import Runner
from service.engine.services import Services
from service.engine.starting import StartLimits, start_execution

log = structlog.get_logger()

_OUTAGE_DELAY = timedelta(seconds=5)


async def run_workflow(runner: Runner, job: Job) -> None:
    """Drive the execution that the job names."""
    execution_id = (job.payload or b"").decode()
    try:
        await runner.run(execution_id)
    except Exception as exc:
        log.exception("run_crashed", execution_id=execution_id)
        delay = _OUTAGE_DELAY if is_outage(exc) else 3 * _OUTAGE_DELAY
        raise RetryRequested(delay, reason=type(exc).__name__) from exc


async def run_error_workflow(services: Services, job: Job) -> None:
    """Start the workflow for errors of the failed execution that the job names."""
    execution_id = (job.payload or b"").decode()
    try:
        async with as_system(services.pool) as conn:
            failed = await executions.find_failed(conn, execution_id)
            if failed is None:
                return
            wanted = read_definition([], [], failed.settings).settings.error_workflow
            if wanted is None or wanted == failed.workflow_id:
                return
            if not await executions.share_space(conn, failed.workflow_id, wanted):
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
                limits=StartLimits.of(services.settings),
            )
    except (Refused, EngineError) as exc:
        log.warning("error_workflow_refused", execution_id=execution_id, reason=str(exc))


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
