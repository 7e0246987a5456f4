"""The job face, wired: one PgQueuer on the pool, the handlers of the slices, and the upkeep of the search core."""

import asyncio
import contextlib
from datetime import timedelta

import structlog
from pgqueuer import PgQueuer
from pgqueuer.db import Driver
from pgqueuer.models import Job, Schedule

from db.jobs import (
    DELETE_ORIGINALS,
    DELIVER_WEBHOOK,
    FIRE_EVENT_TRIGGERS,
    INGEST_DOCUMENT,
    RUN_ERROR_WORKFLOW,
    RUN_WORKFLOW,
    SWEEP_PERSON,
    requeue_orphans,
)
from db.outage import is_outage
from ingest.pipeline import Ingestor
from service.accounts.jobs import run_original_deletion, run_sweep
from service.conversations.recovery import keep_abandoned_answers
from service.documents.jobs import run_ingestion
from service.engine.jobs import Workflows, fire_event_triggers, run_error_workflow, run_workflow
from service.engine.scheduling import run_scheduler
from service.maintenance import (
    compact_terms,
    delete_expired_files,
    maintain_vector_index,
    prune_executions,
    prune_expired,
    prune_idempotency_keys,
    prune_webhook_deliveries,
)
from service.webhooks.jobs import Deliverer, requeue_orphan_deliveries, run_delivery

log = structlog.get_logger()

# A dead worker's jobs are taken over after the heartbeat timeout, at a living one's next poll.
_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
_POLL = timedelta(seconds=5)
# PgQueuer looks again after this long while work is waiting but its slots are full; its own 0.1 s would hold
# small documents to forty a second with four slots.
_BUSY_POLL = timedelta(milliseconds=10)
# Jobs taken from the queue for each one worked on. PgQueuer counts a finished job as running until its buffer of
# results is written, so that with none to spare small documents wait for the buffer's clock.
_PICKED_AHEAD = 3
# Events that one worker is sending at a time; each is a socket and some kilobytes, and mostly waiting.
_DELIVERIES = 64
# Runs that wait for a time are looked for so often: they go on as late as this.
_RUN_POLL = timedelta(seconds=1)
_PRUNE_S = 3600.0
# In-flight documents get this long to finish on shutdown; a longer one starts over with the next worker.
_GRACE_S = 10.0


def build_delivery_queue(deliverer: Deliverer, connection: Driver) -> PgQueuer:
    """Register the sending of events, on the connection that the other queue listens on.

    A queue of its own: what waits for slow receivers must not take places from documents, nor the other way round.
    """
    queue = PgQueuer(connection)

    @queue.entrypoint(DELIVER_WEBHOOK, on_failure="hold", accepts_context=False)
    async def deliver(job: Job) -> None:
        await run_delivery(deliverer, job)

    return queue


def build_workflow_queue(workflows: Workflows, connection: Driver) -> PgQueuer:
    """Register the running of workflows: a queue of its own, for the same reason."""
    queue = PgQueuer(connection)

    @queue.entrypoint(RUN_WORKFLOW, on_failure="hold", accepts_context=False)
    async def run(job: Job) -> None:
        await run_workflow(workflows, job)

    @queue.entrypoint(RUN_ERROR_WORKFLOW, on_failure="hold", accepts_context=False)
    async def errors(job: Job) -> None:
        await run_error_workflow(workflows, job)

    @queue.entrypoint(FIRE_EVENT_TRIGGERS, on_failure="hold", accepts_context=False)
    async def events(job: Job) -> None:
        await fire_event_triggers(workflows, job)

    return queue


def build_queue(ingestor: Ingestor, owner_url: str, concurrency: int) -> PgQueuer:
    """Register every handler and schedule; the queue is not running yet."""
    queue = PgQueuer.from_asyncpg_pool(ingestor.pool)
    slots = asyncio.Semaphore(concurrency)
    queue.qm.min_dequeue_poll_interval = _BUSY_POLL

    @queue.entrypoint(INGEST_DOCUMENT, on_failure="hold", accepts_context=False)
    async def ingest(job: Job) -> None:
        async with slots:
            await run_ingestion(ingestor, job)

    @queue.entrypoint(DELETE_ORIGINALS, on_failure="hold", accepts_context=False)
    async def originals(job: Job) -> None:
        await run_original_deletion(ingestor.originals, job.payload or b"[]")

    @queue.entrypoint(SWEEP_PERSON, on_failure="hold", accepts_context=False)
    async def persons(job: Job) -> None:
        await run_sweep(ingestor.pool, job.payload or b"")

    @queue.schedule("requeue_orphans", "*/5 * * * *")
    async def orphans(_: Schedule) -> None:
        await _requeue_orphans(ingestor)

    @queue.schedule("compact_term_counts", "*/2 * * * *")
    async def terms(_: Schedule) -> None:
        await compact_terms(ingestor.pool)

    @queue.schedule("maintain_vector_index", "*/10 * * * *")
    async def vectors(_: Schedule) -> None:
        await maintain_vector_index(ingestor.pool, owner_url)

    @queue.schedule("prune_idempotency_keys", "17 * * * *")
    async def keys(_: Schedule) -> None:
        await prune_idempotency_keys(ingestor.pool)

    @queue.schedule("prune_expired", "23 * * * *")
    async def expired(_: Schedule) -> None:
        await prune_expired(ingestor.pool)

    @queue.schedule("delete_expired_files", "7 * * * *")
    async def files(_: Schedule) -> None:
        await delete_expired_files(ingestor.pool)

    @queue.schedule("keep_abandoned_answers", "*/2 * * * *")
    async def answers(_: Schedule) -> None:
        await keep_abandoned_answers(ingestor.pool)

    @queue.schedule("prune_deliveries", "41 * * * *")
    async def deliveries(_: Schedule) -> None:
        await prune_webhook_deliveries(ingestor.pool)

    return queue


async def run_worker(
    ingestor: Ingestor,
    deliverer: Deliverer,
    workflows: Workflows | None = None,
    *,
    owner_url: str,
    concurrency: int,
    stop: asyncio.Event,
) -> None:
    """Work until stop is set, then let what is in flight finish within the grace period.

    Without workflows, it leaves them to others.
    """
    await _requeue_orphans(ingestor)
    queue = build_queue(ingestor, owner_url, concurrency)
    deliveries = build_delivery_queue(deliverer, queue.connection)
    deliveries.qm.shutdown = queue.shutdown
    running = asyncio.create_task(_run_queues(queue, deliveries, concurrency, workflows))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    queue.shutdown.set()
    try:
        await asyncio.wait_for(running, timeout=_GRACE_S)
    except TimeoutError:
        log.warning("worker_stopped_midway", grace_s=_GRACE_S)
    except asyncio.CancelledError:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        raise


async def run_workflows(workflows: Workflows, connection: Driver, stop: asyncio.Event) -> None:
    """Run workflows, and start those whose time has come, until stop is set."""
    runs = build_workflow_queue(workflows, connection)
    runs.qm.shutdown = stop
    places = workflows.services.settings.workflow_concurrency
    async with asyncio.TaskGroup() as group:
        group.create_task(workflows.runner.keep(stop))
        group.create_task(run_scheduler(workflows, stop))
        group.create_task(_prune(workflows, stop))
        group.create_task(
            runs.qm.run(
                dequeue_timeout=_RUN_POLL,
                batch_size=max(places // 2, 1),
                max_concurrent_tasks=places,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            )
        )


async def _prune(workflows: Workflows, stop: asyncio.Event) -> None:
    """Delete old executions now and then; several workers that do so at once only share the work."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PRUNE_S)
            return
        try:
            await prune_executions(
                workflows.services.pool, workflows.services.settings.workflow_retention_days
            )
        except Exception as exc:
            if not is_outage(exc):
                raise


async def _run_queues(
    queue: PgQueuer, deliveries: PgQueuer, concurrency: int, workflows: Workflows | None
) -> None:
    async with asyncio.TaskGroup() as group:
        if workflows is not None:
            group.create_task(run_workflows(workflows, queue.connection, queue.shutdown))
        group.create_task(
            queue.run(
                dequeue_timeout=_POLL,
                batch_size=concurrency,
                max_concurrent_tasks=_PICKED_AHEAD * concurrency,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            )
        )
        # The manager alone: schedules are the other queue's.
        group.create_task(
            deliveries.qm.run(
                dequeue_timeout=_POLL,
                batch_size=_DELIVERIES // 2,
                max_concurrent_tasks=_DELIVERIES,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            )
        )


async def _requeue_orphans(ingestor: Ingestor) -> None:
    async with ingestor.pool.acquire() as conn, conn.transaction():
        found = await requeue_orphans(conn)
    if found:
        log.info("orphans_requeued", documents=found)
    await requeue_orphan_deliveries(ingestor.pool)
