"""Limits of plans, exact under concurrency: what fits is taken, what does not leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from uuid import uuid4

import pytest

from db import documents
from db.errors import LastOwner, PlanLimitReached
from db.pool import Conn, Pool, open_pool
from db.roles import ensure_login
from db.tenancy import as_caller, as_system

KIB = 1024


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections as the service has them."""
    async with open_pool(await ensure_login(database_url), size=20) as opened:
        yield opened


@pytest.fixture
async def ann(pool: Pool) -> str:
    async with pool.acquire() as conn:
        await conn.execute("""
            INSERT INTO "User" ("id", "clerkId", "email") VALUES ('ann', 'ann', 'a@example.com'),
                                                                 ('bob', 'bob', 'b@example.com');
            INSERT INTO "Team" ("id", "name", "slug") VALUES ('team', 'Team', 'team');
            INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ('team', 'ann', 'OWNER'),
                                                                         ('team', 'bob', 'OWNER');
        """)
    return "ann"


async def upload(pool: Pool, size: int, team_id: str | None = None) -> str:
    """Write what an upload writes, as its person does."""
    document_id = str(uuid4())
    original = documents.Original(
        storage_key=f"{document_id[:2]}/{document_id}",
        filename="f",
        media_type="text/plain",
        size_bytes=size,
        sha256=b"\0" * 32,
    )
    async with as_caller(pool, "ann") as conn:
        space_id = await documents.insert_document(
            conn,
            document_id=document_id,
            user_id="ann",
            team_id=team_id,
            title="t",
            metadata=None,
            source_type="file",
            source_url=None,
        )
        await documents.insert_original(conn, space_id, document_id, original)
    return document_id


async def count_taken(tasks: list[Awaitable[object]]) -> tuple[int, int]:
    """Return how many went through and how many met the limit; anything else is raised."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, PlanLimitReached)]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, PlanLimitReached):
            raise result
    return len(results) - len(refused), len(refused)


async def used(pool: Pool, table: str = "User", owner: str = "ann", column: str = "storageUsed") -> int:
    async with pool.acquire() as conn:
        value: int = await conn.fetchval(f'SELECT "{column}" FROM "{table}" WHERE "id" = $1', owner)
    return value


async def test_of_a_thousand_uploads_at_once_those_that_fit_are_taken(pool: Pool, ann: str) -> None:
    size = 100 * KIB * KIB // 600
    taken, refused = await count_taken([upload(pool, size) for _ in range(1000)])
    assert (taken, refused) == (600, 400)
    assert await used(pool) == 600 * size
    async with pool.acquire() as conn:
        assert await conn.fetchval('SELECT count(*) FROM "Document"') == 600
        ids = [row[0] for row in await conn.fetch('SELECT "id" FROM "Document"')]

    async def delete(document_id: str) -> None:
        async with as_caller(pool, "ann") as conn:
            await documents.delete_document(conn, ["ann"], document_id)

    await asyncio.gather(*(delete(document_id) for document_id in ids))
    assert await used(pool) == 0


async def test_the_refusal_says_what_is_used_and_undoes_everything(pool: Pool, ann: str) -> None:
    await upload(pool, 60 * KIB * KIB)
    with pytest.raises(PlanLimitReached) as refusal:
        await upload(pool, 60 * KIB * KIB)
    facts = refusal.value.facts
    assert (facts.resource, facts.tier, facts.used, facts.limit, facts.resets_at) == (
        "storage",
        "FREE",
        60 * KIB * KIB,
        100 * KIB * KIB,
        None,
    )
    assert await used(pool) == 60 * KIB * KIB


async def test_bytes_go_along_with_a_document(pool: Pool, ann: str) -> None:
    document_id = await upload(pool, 70 * KIB * KIB)

    async def move(team_id: str | None) -> None:
        async with as_caller(pool, "ann") as conn:
            await documents.update_document(
                conn, ["ann", "team"], document_id, title=None, set_metadata=False, metadata=None,
                set_team=True, team_id=team_id,
            )  # fmt: skip

    await move("team")
    assert (await used(pool), await used(pool, "Team", "team")) == (0, 70 * KIB * KIB)
    await upload(pool, 70 * KIB * KIB)
    with pytest.raises(PlanLimitReached):
        await move(None)
    assert (await used(pool), await used(pool, "Team", "team")) == (70 * KIB * KIB, 70 * KIB * KIB)
    # A team that goes gives its documents back, limit or not: nothing is lost.
    async with as_caller(pool, "ann") as conn:
        await conn.execute("""DELETE FROM "Team" WHERE "id" = 'team'""")
    assert await used(pool) == 140 * KIB * KIB


async def test_five_workflows_are_free(pool: Pool, ann: str) -> None:
    async def add(n: int) -> None:
        async with as_caller(pool, "ann") as conn:
            await conn.execute(
                'INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId") VALUES ($1, $1, $2, $2, $3)',
                f"w{n}",
                [],
                "ann",
            )

    assert await count_taken([add(n) for n in range(50)]) == (5, 45)
    assert await used(pool, column="workflowsUsed") == 5
    async with as_caller(pool, "ann") as conn:
        await conn.execute('DELETE FROM "Workflow"')
    assert await used(pool, column="workflowsUsed") == 0


async def test_executions_are_counted_by_month_and_start_anew(pool: Pool, ann: str) -> None:
    async with as_system(pool) as conn:
        await conn.execute("""
            INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId")
            VALUES ('w', 'w', '[]', '[]', 'ann');
            UPDATE "User" SET "executionsThisMonth" = 950 WHERE "id" = 'ann';
        """)

    async def run() -> None:
        async with as_caller(pool, "ann") as conn:
            await conn.execute(
                """INSERT INTO "WorkflowExecution" ("workflowId", "userId") VALUES ('w', 'ann')"""
            )

    assert await count_taken([run() for _ in range(100)]) == (50, 50)
    assert await used(pool, column="executionsThisMonth") == 1000
    with pytest.raises(PlanLimitReached) as refusal:
        await run()
    resets_at = refusal.value.facts.resets_at
    assert resets_at is not None
    assert (resets_at.day, resets_at.hour) == (1, 0)
    async with as_system(pool) as conn:
        await conn.execute(
            """UPDATE "User" SET "executionsMonth" = "executionsMonth" - interval '1 month' """
        )
    await run()
    assert await used(pool, column="executionsThisMonth") == 1


WORTH = [
    ("ACTIVE", None, "PRO"),
    ("ACTIVE", "-30 days", "PRO"),  # Stripe has not said otherwise
    ("TRIALING", None, "PRO"),
    ("CANCELED", "1 day", "PRO"),
    ("CANCELED", "-1 minute", "FREE"),
    ("CANCELED", None, "FREE"),
    ("PAST_DUE", "1 day", "PRO"),
    ("PAST_DUE", "-6 days", "PRO"),
    ("PAST_DUE", "-8 days", "FREE"),
    ("PAST_DUE", None, "PRO"),
]


async def test_what_a_subscription_is_worth(conn: Conn) -> None:
    for status, ends_in, worth in WORTH:
        found = await conn.fetchval(
            """
            SELECT effective_tier('PRO', $1::text::"SubscriptionStatus",
                                  now() AT TIME ZONE 'UTC' + $2::text::interval)::text
            """,
            status,
            ends_in,
        )
        assert found == worth, (status, ends_in)


async def test_of_two_owners_who_leave_at_once_one_stays(pool: Pool, ann: str) -> None:
    async with pool.acquire() as conn:
        await conn.execute("""
            INSERT INTO "User" ("id", "clerkId", "email") VALUES ('eve', 'eve', 'e@example.com');
            INSERT INTO "TeamMember" ("teamId", "userId") VALUES ('team', 'eve');
        """)

    async def leave(name: str) -> None:
        async with as_caller(pool, name) as conn:
            await conn.execute("""DELETE FROM "TeamMember" WHERE "teamId" = 'team' AND "userId" = $1""", name)

    results = await asyncio.gather(leave("ann"), leave("bob"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [LastOwner.__name__, "NoneType"]
