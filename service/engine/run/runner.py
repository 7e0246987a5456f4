"""The runs of one worker: taken from the queue, held while they are driven, given up when somebody ends them.

A worker that dies lets go of its runs by holding them no longer: the others see that, and go on from the last step that
was written down.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from db import workflow_runs
from db.events import Events
from db.jobs import enqueue_run
from db.outage import is_outage
from db.tenancy import as_system
from db.workflow_runs import ClaimedRun, Held
from service.engine.definition import Definition, read_definition
from service.engine.errors import EngineError
from service.engine.graph import GraphError, build_graph
from service.engine.nodes.base import RunContext
from service.engine.resume import resume_token
from service.engine.run.driver import Driver
from service.engine.run.ending import Ending, end_run
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog, begin_hiding, note_secret
from service.engine.run.turn import RunInterrupted
from service.engine.services import Services
from service.metrics import WORKFLOW_RUNS

log = structlog.get_logger()

LEASE = timedelta(seconds=15)
_RENEW_S = 3.0
_FLUSH_S = 0.25
"""So old is what a reader of a running execution sees at most."""
_SWEEP_S = 5.0
_LOST_JOB = timedelta(seconds=60)
"""A run that nobody has begun, or woken, for so long has lost its job."""
_PUT_OFF = timedelta(seconds=1)
MAX_FRUITLESS = 10
"""Turns in a row that came to nothing, most likely because the run brings its workers down."""


@dataclass(slots=True)
class _Live:
    claimed: ClaimedRun
    driving: "asyncio.Task[Ending | None]"
    driver: Driver

    def held(self) -> Held:
        return Held(self.claimed.epoch, self.driver.time_left_s)


class Runner:
    def __init__(self, services: Services, events: Events, *, lease: timedelta = LEASE) -> None:
        self._services = services
        self._events = events
        self._lease = lease
        self._live: dict[str, _Live] = {}

    async def run(self, execution_id: str) -> None:
        """Drive an execution until it ends or waits; nothing is done where another worker does, or where it has ended.

        Raises what an outage of the database raises: the run is as it was, and somebody will come back to it.
        """
        most = self._services.settings.workflow_max_concurrent_executions
        async with as_system(self._services.pool) as conn:
            if not await workflow_runs.has_place(conn, execution_id, most):
                # Its owner has as many at work as may be; what they have called or woken waits for its turn.
                if await workflow_runs.put_off(conn, execution_id):
                    await enqueue_run(conn, execution_id, after=_PUT_OFF)
                return
            claimed = await workflow_runs.claim_run(conn, execution_id, self._lease)
        if claimed is None:
            return
        began = asyncio.get_running_loop().time()
        with structlog.contextvars.bound_contextvars(
            execution_id=execution_id, workflow_id=claimed.workflow_id, turn=claimed.epoch
        ):
            begin_hiding()
            try:
                await self._drive(claimed)
            except RunInterrupted as exc:
                log.info("run_interrupted")
                if exc.__cause__ is not None and is_outage(exc.__cause__):
                    raise exc.__cause__ from None
            except asyncio.CancelledError:
                await asyncio.shield(self._release(claimed, began))
                raise

    async def _drive(self, claimed: ClaimedRun) -> None:
        run_log = RunLog(claimed.log_place)
        try:
            definition = read_definition(claimed.nodes, claimed.connections, claimed.settings)
        except EngineError as exc:
            await self._end(claimed, Definition(nodes=(), connections=()), _broken(str(exc)), None, run_log)
            return
        try:
            graph = build_graph(definition)
        except GraphError as exc:
            await self._end(claimed, definition, _broken(f"{exc.node}: {exc.detail}"), None, run_log)
            return
        if claimed.fruitless > MAX_FRUITLESS:
            error = {
                "code": "crashed",
                "message": f"{MAX_FRUITLESS} workers in a row were lost while they ran this.",
            }
            await self._end(claimed, definition, Ending("FAILED", None, error), None, run_log)
            return
        time_left_s = min(claimed.time_left_s, definition.settings.execution_timeout or claimed.time_left_s)
        driver = Driver(self._services, claimed, graph, self._context(claimed), time_left_s, run_log)
        driving = asyncio.create_task(driver.drive())
        live = self._live[claimed.execution_id] = _Live(claimed, driving, driver)
        try:
            ending = await self._until_ended(live)
        finally:
            self._live.pop(claimed.execution_id, None)
            driving.cancel()
        if ending is not None:
            await self._end(claimed, definition, ending, driver.ledger, run_log)

    async def _until_ended(self, live: _Live) -> Ending | None:
        """Return what the drive comes to; stop it as soon as somebody else has ended the run. Raises RunInterrupted."""
        with self._events.watch_execution(live.claimed.execution_id) as changed:
            while True:
                watching = asyncio.create_task(changed.wait())
                try:
                    await asyncio.wait({live.driving, watching}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    watching.cancel()
                if live.driving.done():
                    if live.driving.cancelled():
                        raise RunInterrupted
                    return live.driving.result()
                changed.clear()
                if not await self._is_ours(live):
                    live.driving.cancel()
                    await asyncio.wait({live.driving})
                    raise RunInterrupted

    async def _is_ours(self, live: _Live) -> bool:
        async with self._services.pool.acquire() as conn:
            held = {live.claimed.execution_id: live.held()}
            return bool(await workflow_runs.renew_leases(conn, held, self._lease))

    async def _end(
        self,
        claimed: ClaimedRun,
        definition: Definition,
        ending: Ending,
        ledger: RunLedger | None,
        run_log: RunLog,
    ) -> None:
        ledger = ledger or RunLedger(self._services, claimed, run_log)
        await end_run(self._services, claimed, definition.settings, ending, ledger, run_log)
        WORKFLOW_RUNS.labels(ending.status).inc()
        log.info("run_ended", status=ending.status)

    async def _release(self, claimed: ClaimedRun, began: float) -> None:
        """Give a run to the next worker at once, when this one stops."""
        async with as_system(self._services.pool) as conn:
            worked_s = asyncio.get_running_loop().time() - began
            left_s = max(claimed.time_left_s - worked_s, 0.1)
            if await workflow_runs.release_run(conn, claimed.execution_id, claimed.epoch, time_left_s=left_s):
                await enqueue_run(conn, claimed.execution_id)

    def _context(self, claimed: ClaimedRun) -> RunContext:
        settings = self._services.settings
        token = resume_token(settings.signing_secret(), claimed.execution_id)
        # Who may read logs may not answer.
        note_secret(token)
        return RunContext(
            execution_id=claimed.execution_id,
            workflow_id=claimed.workflow_id,
            workflow_name=claimed.workflow_name,
            user_id=claimed.user_id,
            subject=claimed.subject,
            team_id=claimed.team_id,
            space_id=claimed.space_id,
            depth=claimed.depth,
            mode=str(claimed.plan.get("mode") or claimed.triggered_by),
            trigger={"data": claimed.data, **(claimed.plan.get("trigger") or {})},
            resume_url=f"{settings.outside_url}/v1/hooks/resume/{token}",
        )

    async def keep(self, stop: asyncio.Event) -> None:
        """Hold what is driven here, write logs down, and look for runs that nobody drives, until stop is set.

        Each by itself: a run whose log waits, or cannot be written, must not cost the others their lease.
        """
        lease_s = self._lease.total_seconds()
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(_FLUSH_S, self._flush, stop))
            group.create_task(_every(min(_RENEW_S, lease_s / 4), self._renew, stop))
            group.create_task(_every(min(_SWEEP_S, lease_s), self.requeue_abandoned, stop))

    async def _renew(self) -> None:
        if not self._live:
            return
        live = dict(self._live)
        held = {run_id: one.held() for run_id, one in live.items()}
        async with self._services.pool.acquire() as conn:
            ours = await workflow_runs.renew_leases(conn, held, self._lease)
        for execution_id, one in live.items():
            if execution_id not in ours:
                one.driving.cancel()

    async def _flush(self) -> None:
        await asyncio.gather(*(self._flush_one(one) for one in list(self._live.values())))

    async def _flush_one(self, one: "_Live") -> None:
        if one.driver.ledger.lock.locked():
            return  # it is being written down
        try:
            await one.driver.ledger.flush()
        except RunInterrupted:
            pass  # its driver finds out by itself
        except Exception as exc:
            if not is_outage(exc):
                log.exception("log_not_written", execution_id=one.claimed.execution_id)

    async def requeue_abandoned(self) -> None:
        async with as_system(self._services.pool) as conn:
            abandoned = await workflow_runs.list_abandoned(conn, _LOST_JOB)
            for execution_id in abandoned:
                await enqueue_run(conn, execution_id)
        if abandoned:
            log.info("runs_requeued", runs=len(abandoned))


async def _every(seconds: float, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await work()
        except Exception as exc:
            if not is_outage(exc):
                # What is driven goes on, and must be held.
                log.exception("keeping_runs_failed")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def _broken(detail: str) -> Ending:
    return Ending("FAILED", None, {"code": "definition", "message": detail})
