"""Taking a run up where it failed, as service/executions does, without HTTP in between."""

from db.execution_history import copy_progress, find_retry_base
from db.tenancy import as_system
from service.engine.starting import Retried, start_execution
from tests.service.engine.conftest import Engine


async def retry(engine: Engine, execution_id: str) -> str:
    """Return the new execution, which nobody has begun."""
    async with as_system(engine.pool) as conn:
        base = await find_retry_base(conn, execution_id)
        assert base is not None
        started = await start_execution(
            conn,
            workflow_id=base.workflow_id,
            user_id=engine.user_id,
            triggered_by="api",
            data=base.data,
            version=base.version,
            plan={**base.plan, "retry": True},
            depth=base.depth,
            retried=Retried(execution_id, base.root_id, base.retry_count + 1),
            limits=engine.workflows.limits,
        )
        assert started is not None
        await copy_progress(conn, execution_id, started)
    return started
