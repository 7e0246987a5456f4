"""Schedules fired: each tick once, however many workers look at the clock.

A worker takes a schedule that is due, starts its run and moves it to its next tick in one transaction, with the row
held: nobody else sees the tick, before or after.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from db import schedules
from db.errors import Refused
from db.notifications import notify
from db.outage import is_outage
from db.pool import Conn, Pool
from db.schedules import DueSchedule
from db.tenancy import as_system
from service.engine.cron import last_tick, next_tick, ticks_after
from service.engine.errors import EngineError
from service.engine.jobs import Workflows
from service.engine.starting import StartLimits, start_execution

log = structlog.get_logger()

MAX_MISSED = 100
"""Ticks that are made up for, where all are: the newest."""
_LOOK_S = 5.0
_BUSY_S = 0.2
_OUTAGE_S = 2.0
_PUT_OFF = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tick:
    """What a due schedule comes to: the tick that is fired, if any, and the one that is next."""

    fired: datetime | None
    following: datetime | None
    passed_over: str | None = None


def settle(due: DueSchedule, now: datetime) -> Tick:
    """Return what is to be done of a due schedule, by its policy for missed ticks.

    Raises ValueError for one that cannot be read.
    """
    if due.next_run_at is None:
        return Tick(None, next_tick(due.cron, due.timezone, now))
    tick, following = due.next_run_at, next_tick(due.cron, due.timezone, due.next_run_at)
    is_behind = following is not None and following <= now
    match due.missed:
        case "all" if is_behind:
            tick = max(tick, _oldest_made_up(due, now))
            return Tick(tick, next_tick(due.cron, due.timezone, tick))
        case "once" | "skip" if is_behind:
            tick = last_tick(due.cron, due.timezone, now) or tick
            following = next_tick(due.cron, due.timezone, max(now, tick))
    if due.missed == "skip" and now - tick > schedules.GRACE:
        return Tick(None, following, f"The tick of {tick:%Y-%m-%d %H:%M} UTC was missed.")
    return Tick(tick, following)


def _oldest_made_up(due: DueSchedule, now: datetime) -> datetime:
    """Return the oldest of the missed ticks that are made up for."""
    tick = due.next_run_at or now
    ahead = ticks_after(due.cron, due.timezone, tick, MAX_MISSED)
    if not ahead or ahead[-1] > now:
        return tick
    # Too many: back from the newest.
    newest = last_tick(due.cron, due.timezone, now) or tick
    oldest = newest
    for _ in range(MAX_MISSED - 1):
        before = last_tick(due.cron, due.timezone, oldest - timedelta(minutes=1))
        if before is None or before < tick:
            break
        oldest = before
    return oldest


async def fire_due(pool: Pool, limits: StartLimits, now: datetime | None = None) -> int:
    """Fire every schedule that is due and that nobody else holds; return how many runs were started."""
    started = 0
    due: DueSchedule | None = None
    while True:
        moment = now or datetime.now(UTC)
        try:
            async with as_system(pool) as conn:
                due = await schedules.take_due(conn, moment)
                if due is None:
                    return started
                started += await _fire(conn, due, moment, limits)
        except Exception as exc:
            if is_outage(exc) or due is None:
                raise
            # One that brings us down must not keep the others from firing.
            log.exception("schedule_crashed", schedule_id=due.id)
            await _put_off(pool, due, moment)


async def _put_off(pool: Pool, due: DueSchedule, now: datetime) -> None:
    async with as_system(pool) as conn:
        await schedules.settle_schedule(
            conn,
            due.id,
            last_run_at=None,
            next_run_at=now + _PUT_OFF,
            problem="Something went wrong on our side; the log says what.",
        )


async def _fire(conn: Conn, due: DueSchedule, now: datetime, limits: StartLimits) -> int:
    try:
        tick = settle(due, now)
    except ValueError as exc:
        await _tell(conn, due, str(exc))
        await schedules.settle_schedule(
            conn, due.id, last_run_at=None, next_run_at=None, problem=str(exc), active=False
        )
        return 0
    problem = tick.passed_over
    started = False
    if tick.fired is not None:
        problem = await _start(conn, due, tick.fired, limits)
        started = problem is None
    elif due.next_run_at is None:
        problem = due.last_problem
    await schedules.settle_schedule(
        conn,
        due.id,
        last_run_at=tick.fired if started else None,
        next_run_at=tick.following,
        problem=problem,
        active=tick.following is not None,
    )
    return int(started)


async def _start(conn: Conn, due: DueSchedule, tick: datetime, limits: StartLimits) -> str | None:
    """Start a tick's run; return why none was started, where none was."""
    if due.overlap == "skip" and await schedules.is_running(conn, due.id):
        return f"The tick of {tick:%Y-%m-%d %H:%M} UTC was passed over: the last run went on."
    moment = tick.isoformat().replace("+00:00", "Z")
    try:
        async with (
            conn.transaction()
        ):  # a savepoint: what is refused leaves nothing, and the tick is settled all the same
            await start_execution(
                conn,
                workflow_id=due.workflow_id,
                user_id=due.user_id,
                triggered_by="schedule",
                data={"scheduled_at": moment, "timezone": due.timezone},
                trigger={"scheduled_at": moment, "schedule_id": due.id},
                start_node=due.node_id,
                cause=f"schedule:{due.id}:{moment}",
                limits=limits,
            )
    except (Refused, EngineError) as exc:
        log.warning("schedule_refused", schedule_id=due.id, workflow_id=due.workflow_id, reason=str(exc))
        await _tell(conn, due, str(exc))
        return str(exc)
    return None


async def _tell(conn: Conn, due: DueSchedule, reason: str) -> None:
    """Tell the workflow's owner, once a day."""
    if await schedules.was_told(conn, due.user_id, due.id):
        return
    await notify(
        conn,
        [due.user_id],
        "WORKFLOW_FAILED",
        "A scheduled workflow was not started",
        reason,
        {"workflow_id": due.workflow_id, "schedule_id": due.id},
    )


async def run_scheduler(workflows: Workflows, stop: asyncio.Event) -> None:
    """Fire schedules until stop is set."""
    pool = workflows.services.pool
    while not stop.is_set():
        try:
            await fire_due(pool, workflows.limits)
            async with pool.acquire() as conn:
                following = await schedules.next_due(conn)
            wait_s = _wait_s(following)
        except Exception as exc:
            if not is_outage(exc):
                # The next look may go better, and the worker has other work.
                log.exception("scheduler_failed")
            wait_s = _OUTAGE_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)


def _wait_s(following: datetime | None) -> float:
    """Return how long nothing is due; a schedule that is new meanwhile is seen at the next look."""
    if following is None:
        return _LOOK_S
    return min(max((following - datetime.now(UTC)).total_seconds(), _BUSY_S), _LOOK_S)
