"""/healthz, /readyz, /metrics: for load balancers and monitoring, open to everybody, and telling nothing of anybody."""

from http import HTTPStatus

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from db.deliveries import measure_pending
from db.errors import NotMigrated
from db.ingestions import count_unfinished
from db.migrate import require_head
from db.pool import Pool
from db.schedules import measure_late
from db.workflow_runs import count_runs
from service.errors import Problem
from service.metrics import (
    POOL_IDLE,
    POOL_SIZE,
    REGISTRY,
    UNFINISHED,
    WEBHOOK_OLDEST_SECONDS,
    WEBHOOKS_PENDING,
    WORKFLOW_RUNS_UNFINISHED,
    WORKFLOW_SCHEDULE_LATE_SECONDS,
)
from service.openapi import only_problems


class Health(msgspec.Struct, kw_only=True, frozen=True):
    status: str


@get("/healthz", tags=["health"], summary="Is the process alive?")
async def healthz() -> Health:
    """Answer without touching anything: a database that is away is no reason to restart this process."""
    return Health(status="ok")


@get("/readyz", tags=["health"], responses=only_problems(503), summary="Can it serve?")
async def readyz(pool: NamedDependency[Pool]) -> Health:
    """Answer 200 where the database answers and is migrated, 503 where not."""
    try:
        async with pool.acquire() as conn:
            await require_head(conn)
    except NotMigrated as exc:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(exc), headers={"Retry-After": "5"}) from exc
    return Health(status="ready")


@get(
    "/metrics",
    tags=["health"],
    media_type="text/plain",
    responses=only_problems(503),
    summary="Prometheus metrics",
)
async def metrics(pool: NamedDependency[Pool]) -> Response[bytes]:
    """Return this process's counters, and the lengths of the queues from the database."""
    async with pool.acquire() as conn:
        unfinished = await count_unfinished(conn)
        pending = await measure_pending(conn)
        runs = await count_runs(conn)
        late_s = await measure_late(conn)
    for status in ("queued", "processing"):
        UNFINISHED.labels(status).set(unfinished.get(status, 0))
    WEBHOOKS_PENDING.labels("due").set(pending.due)
    WEBHOOKS_PENDING.labels("later").set(pending.later)
    WEBHOOK_OLDEST_SECONDS.set(pending.oldest_s)
    for state in ("queued", "active", "waiting", "abandoned"):
        WORKFLOW_RUNS_UNFINISHED.labels(state).set(runs.get(state, 0))
    WORKFLOW_SCHEDULE_LATE_SECONDS.set(late_s)
    POOL_SIZE.set(pool.get_size())
    POOL_IDLE.set(pool.get_idle_size())
    return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


health_routes = [healthz, readyz, metrics]
