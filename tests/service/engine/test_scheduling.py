"""Schedules and events: each tick and each event starts what waits for it once, whoever looks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pgqueuer.models import Job

from db import outbox
from db.pool import Pool, open_pool
from db.roles import ensure_login
from db.schedules import DueSchedule
from db.tenancy import as_system
from db.workflow_documents import record_document
from service.engine.jobs import fire_event_triggers
from service.engine.scheduling import MAX_MISSED, Tick, fire_due, settle
from service.engine.starting import MAX_DEPTH
from tests.service.engine.conftest import Engine, node, open_engine

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def due(missed: Any, next_run_at: datetime | None, cron: str = "*/10 * * * *") -> DueSchedule:
    return DueSchedule(
        id="s",
        workflow_id="w",
        node_id="start",
        user_id="u",
        cron=cron,
        timezone="UTC",
        missed=missed,
        overlap="skip",
        last_run_at=None,
        next_run_at=next_run_at,
        last_problem=None,
    )


def at(clock: str | None) -> datetime | None:
    return None if clock is None else datetime.fromisoformat(f"2026-06-01T{clock}+00:00")


# What is due since, when it is looked at, and by each policy: the tick that is fired, and the next one.
SETTLED = [
    ("12:00", "12:00:30", {"skip": ("12:00", "12:10"), "once": ("12:00", "12:10"), "all": ("12:00", "12:10")}),
    ("12:00", "12:05", {"skip": (None, "12:10"), "once": ("12:00", "12:10"), "all": ("12:00", "12:10")}),
    ("11:30", "12:00:30", {"skip": ("12:00", "12:10"), "once": ("12:00", "12:10"), "all": ("11:30", "11:40")}),
    ("11:30", "12:05", {"skip": (None, "12:10"), "once": ("12:00", "12:10"), "all": ("11:30", "11:40")}),
    ("11:50", "12:00", {"skip": ("12:00", "12:10"), "once": ("12:00", "12:10"), "all": ("11:50", "12:00")}),
    (None, "12:05", {"skip": (None, "12:10"), "once": (None, "12:10"), "all": (None, "12:10")}),
]  # fmt: skip


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
@pytest.mark.parametrize(("since", "now", "expected"), SETTLED)
def test_missed_ticks_go_by_their_policy(
    since: str | None, now: str, expected: dict[str, tuple[str | None, str]], missed: str
) -> None:
    settled = settle(due(missed, at(since)), at(now) or NOON)
    fired, following = expected[missed]
    assert (settled.fired, settled.following) == (at(fired), at(following))
    assert bool(settled.passed_over) == (fired is None and since is not None)


def test_of_too_many_missed_ticks_the_newest_are_made_up_for() -> None:
    schedule = due("all", NOON - timedelta(hours=5), "* * * * *")
    fired: list[datetime] = []
    while True:
        settled = settle(schedule, NOON + timedelta(seconds=30))
        assert settled.fired is not None
        fired.append(settled.fired)
        schedule = due("all", settled.following, "* * * * *")
        if settled.following is None or settled.following > NOON:
            break
    assert fired == [NOON - MINUTE * back for back in reversed(range(MAX_MISSED))]


def test_what_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        settle(due("once", NOON, "nonsense"), NOON)
    assert settle(due("once", NOON - MINUTE, "0 0 1 1 *"), NOON) == Tick(
        NOON - MINUTE, datetime(2027, 1, 1, tzinfo=UTC)
    )


@pytest.fixture
async def pools(database_url: str, engine: Engine) -> AsyncIterator[list[Pool]]:
    """Those of three workers."""
    address = await ensure_login(database_url)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_pool(address, size=3)) for _ in range(3)]


def schedule(**data: Any) -> dict[str, Any]:
    return node("start", "trigger", {"kind": "schedule", "cron": "* * * * *", **data})


async def set_due(engine: Engine, moment: datetime) -> None:
    await engine.fetch(
        """UPDATE "WorkflowSchedule" SET "nextRunAt" = $1::timestamptz AT TIME ZONE 'UTC' """, moment
    )


async def schedules_of(engine: Engine) -> list[dict[str, Any]]:
    return await engine.fetch(
        """SELECT "nextRunAt" AS next, "lastRunAt" AS last, "lastProblem" AS problem, "isActive" AS active
           FROM "WorkflowSchedule" ORDER BY "createdAt", "id" """
    )


async def count_executions(engine: Engine) -> int:
    [row] = await engine.fetch('SELECT count(*) AS n FROM "WorkflowExecution"')
    count: int = row["n"]
    return count


async def told(engine: Engine) -> list[str]:
    rows = await engine.fetch("""SELECT "message" FROM "Notification" ORDER BY "createdAt" """)
    return [row["message"] for row in rows]


async def test_three_workers_fire_each_tick_of_thirty_schedules_once(
    engine: Engine, pools: list[Pool]
) -> None:
    for _ in range(30):
        await engine.draw([schedule(overlap="allow")], [])
    await set_due(engine, NOON)
    limits = engine.workflows.limits
    for tick in range(10):
        now = NOON + MINUTE * tick
        started = await asyncio.gather(*(fire_due(pool, limits, now) for pool in pools))
        assert sum(started) == 30
        assert await fire_due(pools[0], limits, now) == 0
    causes = await engine.fetch(
        """
        SELECT s."id" AS id,
               array_agg(substr(r.cause, length('schedule:' || s."id" || ':') + 1) ORDER BY r.cause) AS ticks
        FROM "WorkflowSchedule" s JOIN workflow_run r ON starts_with(r.cause, 'schedule:' || s."id" || ':')
        GROUP BY s."id"
        """
    )
    wanted = [f"{NOON + MINUTE * tick:%Y-%m-%dT%H:%M:%SZ}" for tick in range(10)]
    assert [row["ticks"] for row in causes] == [wanted] * 30
    assert await count_executions(engine) == 300
    executions = await engine.fetch(
        """SELECT DISTINCT "inputData" ->> 'scheduled_at' AS tick, "triggeredBy" AS by FROM "WorkflowExecution"
           ORDER BY 1"""
    )
    assert [tuple(row.values()) for row in executions] == [(tick, "schedule") for tick in wanted]


async def test_schedules_and_people_start_the_same_workflows_without_deadlock(
    engine: Engine, pools: list[Pool]
) -> None:
    drawn = [await engine.draw([schedule(overlap="allow")], []) for _ in range(5)]
    await set_due(engine, NOON)
    limits = engine.workflows.limits
    await asyncio.gather(
        *(fire_due(pool, limits, NOON) for pool in pools),
        *(engine.start(workflow_id) for workflow_id in drawn * 4),
    )
    await fire_due(pools[0], limits, NOON)  # whose workflow somebody held, its schedule was passed over
    assert await count_executions(engine) == 25


async def test_a_tick_is_passed_over_while_the_last_run_goes_on(engine: Engine) -> None:
    await engine.draw([schedule()], [])
    await set_due(engine, NOON)
    limits = engine.workflows.limits
    assert await fire_due(engine.pool, limits, NOON) == 1
    assert await fire_due(engine.pool, limits, NOON + MINUTE) == 0
    [row] = await schedules_of(engine)
    assert "was passed over: the last run went on" in row["problem"]
    assert row["last"].replace(tzinfo=UTC) == NOON
    assert row["next"].replace(tzinfo=UTC) == NOON + 2 * MINUTE
    await engine.drive_all()
    assert await fire_due(engine.pool, limits, NOON + 2 * MINUTE) == 1
    [row] = await schedules_of(engine)
    assert (row["problem"], row["last"].replace(tzinfo=UTC)) == (None, NOON + 2 * MINUTE)
    assert await told(engine) == []


async def test_what_limits_refuse_is_told_once_a_day(database_url: str, tmp_path: Path) -> None:
    async with open_engine(database_url, tmp_path / "home", workflow_max_executions_per_minute=1) as engine:
        for _ in range(2):
            await engine.draw([schedule(overlap="allow")], [])
        await set_due(engine, NOON)
        limits = engine.workflows.limits
        assert await fire_due(engine.pool, limits, NOON) == 1
        rows = await schedules_of(engine)
        problems = [row["problem"] for row in rows if row["problem"]]
        assert len(problems) == 1
        assert "may be started in a minute" in problems[0]
        assert [row["next"].replace(tzinfo=UTC) for row in rows] == [NOON + MINUTE] * 2
        assert await count_executions(engine) == 1
        assert await fire_due(engine.pool, limits, NOON + MINUTE) == 0
        assert len(await told(engine)) == 2  # of each schedule
        for tick in range(2, 4):
            await fire_due(engine.pool, limits, NOON + MINUTE * tick)
        assert len(await told(engine)) == 2
        await engine.fetch("""UPDATE "Notification" SET "createdAt" = "createdAt" - interval '25 hours' """)
        await fire_due(engine.pool, limits, NOON + MINUTE * 4)
        assert len(await told(engine)) == 4


async def test_what_the_web_application_writes_wrong_stops_its_schedule_alone(engine: Engine) -> None:
    wrong = await engine.draw([schedule()], [])
    await engine.draw([schedule()], [])
    await set_due(engine, NOON)
    await engine.fetch(
        """UPDATE "WorkflowSchedule" SET "cronExpression" = 'every day' WHERE "workflowId" = $1""", wrong
    )
    limits = engine.workflows.limits
    assert await fire_due(engine.pool, limits, NOON) == 1
    [row] = [row for row in await schedules_of(engine) if not row["active"]]
    assert "'every day' is no cron expression" in row["problem"]
    [message] = await told(engine)
    assert "'every day'" in message
    await engine.fetch(
        """UPDATE "WorkflowSchedule" SET "cronExpression" = '* * * * *', "isActive" = true WHERE "workflowId" = $1""",
        wrong,
    )
    await fire_due(engine.pool, limits, NOON)
    assert await fire_due(engine.pool, limits, NOON + MINUTE) >= 1
    assert [row["active"] for row in await schedules_of(engine)] == [True, True]


@pytest.mark.parametrize(
    ("change", "following"),
    [
        ('"nextRunAt" = NULL', NOON + MINUTE),
        ("""\"cronExpression" = '0 0 1 1 *' """, datetime(2027, 1, 1, tzinfo=UTC)),
        (""""cronExpression" = '0 15 * * *', "timezone" = 'Europe/Berlin' """, NOON + 60 * MINUTE),
    ],
)
async def test_what_was_changed_or_is_new_is_computed_and_fires_nothing_late(
    engine: Engine, change: str, following: datetime
) -> None:
    await engine.draw([schedule()], [])
    await set_due(engine, NOON - MINUTE)
    await engine.fetch(f'UPDATE "WorkflowSchedule" SET {change}')
    assert await fire_due(engine.pool, engine.workflows.limits, NOON) == 0
    [row] = await schedules_of(engine)
    assert row["next"].replace(tzinfo=UTC) == following


@pytest.mark.parametrize("column", ["nextRunAt", "lastRunAt"])
@pytest.mark.parametrize("moment", ["infinity", "-infinity", "290000-01-01", "4000-01-01 BC"])
async def test_nobody_writes_a_time_that_would_stop_every_worker(
    engine: Engine, column: str, moment: str
) -> None:
    await engine.draw([schedule()], [])
    with pytest.raises(asyncpg.CheckViolationError):
        await engine.fetch(f"""UPDATE "WorkflowSchedule" SET "{column}" = '{moment}' """)


@pytest.mark.parametrize("change", ['"isActive" = false', "\"status\" = 'PAUSED'"])
async def test_a_paused_workflow_does_not_fire(engine: Engine, change: str) -> None:
    await engine.draw([schedule()], [])
    await set_due(engine, NOON)
    await engine.fetch(f'UPDATE "Workflow" SET {change}')
    assert await fire_due(engine.pool, engine.workflows.limits, NOON) == 0
    assert await count_executions(engine) == 0


@pytest.mark.parametrize("change", ['"isActive" = false', "\"status\" = 'PAUSED'"])
async def test_what_was_due_while_it_was_paused_is_not_made_up_for(engine: Engine, change: str) -> None:
    await engine.draw([schedule()], [])
    await set_due(engine, NOON)
    await engine.fetch(f'UPDATE "Workflow" SET {change}')
    await engine.fetch("""UPDATE "Workflow" SET "isActive" = true, "status" = 'ACTIVE' """)
    assert await fire_due(engine.pool, engine.workflows.limits, NOON + 5 * MINUTE) == 0
    [row] = await schedules_of(engine)
    assert row["next"].replace(tzinfo=UTC) == NOON + 6 * MINUTE
    # What changes otherwise takes no time away.
    await engine.fetch("""UPDATE "Workflow" SET "isActive" = true, "name" = 'Another' """)
    assert await fire_due(engine.pool, engine.workflows.limits, NOON + 6 * MINUTE) == 1


async def test_all_missed_ticks_run_one_after_another(engine: Engine) -> None:
    await engine.draw([schedule(missed="all", cron="*/10 * * * *")], [])
    await set_due(engine, NOON)
    limits, later = engine.workflows.limits, NOON + 35 * MINUTE
    for _ in range(4):
        # One, and nothing more while its run goes on.
        assert [await fire_due(engine.pool, limits, later) for _ in range(2)] == [1, 0]
        await engine.drive_all()
    assert await fire_due(engine.pool, limits, later) == 0
    rows = await engine.fetch('SELECT "inputData" AS data FROM "WorkflowExecution" ORDER BY "startedAt"')
    assert [row["data"]["scheduled_at"] for row in rows] == [f"2026-06-01T12:{n}0:00Z" for n in range(4)]


def waits_for(event: str) -> dict[str, Any]:
    return node("start", "trigger", {"kind": "event", "event": event})


async def document_is_ready(engine: Engine, origin: str | None = None) -> Job | None:
    """Return the job that the event makes."""
    async with as_system(engine.pool) as conn:
        document_id: str = await conn.fetchval(
            """INSERT INTO "Document" ("userId", "title", "content") VALUES ($1, 't', 'c') RETURNING "id" """,
            engine.user_id,
        )
        await conn.execute(
            "INSERT INTO ingestion (space_id, document_id, status) VALUES ($1, $2, 'ready')",
            engine.user_id,
            document_id,
        )
        if origin is not None:
            await record_document(conn, document_id, origin)
        await outbox.emit_document(conn, engine.user_id, "document.ready", document_id)
    rows = await engine.fetch("DELETE FROM pgqueuer WHERE entrypoint = 'fire_event_triggers' RETURNING *")
    return Job.model_validate(rows[0]) if rows else None


async def started_by_events(engine: Engine) -> list[str]:
    rows = await engine.fetch(
        """SELECT "workflowId" AS id FROM "WorkflowExecution" WHERE "triggeredBy" = 'event' """
    )
    return [row["id"] for row in rows]


async def test_an_event_starts_what_waits_for_it_once_however_often_its_job_runs(engine: Engine) -> None:
    wanted = await engine.draw([waits_for("document.ready")], [])
    await engine.draw([waits_for("document.failed")], [])
    await engine.draw([waits_for("document.ready")], [], active=False)
    job = await document_is_ready(engine)
    assert job is not None
    await asyncio.gather(*(fire_event_triggers(engine.workflows, job) for _ in range(3)))
    await fire_event_triggers(engine.workflows, job)
    assert await started_by_events(engine) == [wanted]
    [row] = await engine.fetch('SELECT "inputData" AS data FROM "WorkflowExecution"')
    assert (row["data"]["status"], row["data"]["title"]) == ("ready", "t")
    [trigger] = await engine.fetch(
        """SELECT "lastFiredAt" FROM "WorkflowTrigger" WHERE "workflowId" = $1""", wanted
    )
    assert trigger["lastFiredAt"] is not None


async def test_nobody_who_waits_makes_no_job(engine: Engine) -> None:
    await engine.draw([waits_for("document.failed")], [])
    assert await document_is_ready(engine) is None


async def test_a_workflows_own_document_does_not_start_it_again(engine: Engine) -> None:
    own = await engine.draw([waits_for("document.ready")], [])
    other = await engine.draw([waits_for("document.ready")], [])
    execution_id = await engine.start(own)
    job = await document_is_ready(engine, execution_id)
    assert job is not None
    await fire_event_triggers(engine.workflows, job)
    assert await started_by_events(engine) == [other]
    [row] = await engine.fetch("SELECT depth FROM workflow_run WHERE workflow_id = $1", other)
    assert row["depth"] == 1


async def test_events_do_not_call_each_other_without_end(engine: Engine) -> None:
    first = await engine.draw([waits_for("document.failed")], [])
    await engine.draw([waits_for("document.ready")], [])
    execution_id = await engine.start(first, depth=MAX_DEPTH)
    job = await document_is_ready(engine, execution_id)
    assert job is not None
    await fire_event_triggers(engine.workflows, job)
    assert await started_by_events(engine) == []
