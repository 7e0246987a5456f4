"""Budgets, exact under concurrency: what fits is set aside, what would pass the limit is not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from db import budgets
from db.budgets import BudgetRow, Kind, Subjects
from db.errors import BudgetReached
from db.pool import Pool, open_pool
from db.roles import ensure_login
from db.tenancy import as_system
from db.usage import UsageEntry, insert_usage

CENT = Decimal("0.01")
ANN = Subjects(user_id="ann")
IN_TEAM = Subjects(user_id="ann", team_id="team", key_id="key")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections as the service has them; a person, their team and their key."""
    async with open_pool(await ensure_login(database_url), size=20) as opened:
        async with opened.acquire() as conn:
            await conn.execute("""
                INSERT INTO "User" ("id", "clerkId", "email") VALUES ('ann', 'ann', 'a@example.com');
                INSERT INTO "Team" ("id", "name", "slug") VALUES ('team', 'Team', 'team');
                INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ('team', 'ann', 'OWNER');
                INSERT INTO "ApiKey" ("id", "userId", "name", "key") VALUES ('key', 'ann', 'k', 'hash');
            """)
        yield opened


SUBJECTS: list[tuple[Kind, str]] = [("user", "ann"), ("team", "team"), ("key", "key")]


async def limit(pool: Pool, kind: Kind, subject_id: str, dollars: str | None) -> None:
    async with as_system(pool) as conn:
        await budgets.set_limit(conn, kind, subject_id, None if dollars is None else Decimal(dollars))


async def plan_limit(database_url: str, raw, dollars: str, tier: str = "FREE") -> None:
    owner = await raw(database_url)
    await owner.execute(
        'UPDATE plan SET ai_cost_per_month = $1 WHERE tier = $2::text::"SubscriptionTier"',
        Decimal(dollars),
        tier,
    )


async def reserve(pool: Pool, amount: Decimal = CENT, subjects: Subjects = ANN) -> UUID:
    async with as_system(pool) as conn:
        return (await budgets.reserve(conn, subjects, amount)).id


async def spend(
    pool: Pool, cost: float, reservation: UUID | None = None, subjects: Subjects = ANN, resource="ai_request"
) -> None:
    entry = UsageEntry(
        user_id=subjects.user_id,
        team_id=subjects.team_id,
        key_id=subjects.key_id,
        resource=resource,
        action="chat",
        cost=cost,
        reservation=reservation,
    )
    async with as_system(pool) as conn:
        await insert_usage(conn, [entry])


async def standing(pool: Pool, kind: Kind = "user", subject_id: str = "ann") -> BudgetRow:
    async with pool.acquire() as conn:
        found = await budgets.find_budget(conn, kind, subject_id)
    assert found is not None
    return found


async def amounts(pool: Pool, kind: Kind = "user", subject_id: str = "ann") -> tuple[float | Decimal, ...]:
    """Return what is spent and what is set aside, exactly."""
    found = await standing(pool, kind, subject_id)
    return found.spent, found.reserved


async def reserve_at_once(pool: Pool, times: int, subjects: Subjects = ANN) -> list[UUID]:
    """Return what went through; anything but a budget that is reached is raised."""
    results = await asyncio.gather(
        *(reserve(pool, subjects=subjects) for _ in range(times)), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, BudgetReached):
            raise result
    return [result for result in results if isinstance(result, UUID)]


async def test_of_two_hundred_at_once_those_pass_that_fit_and_settling_for_less_frees_the_rest(
    pool: Pool,
) -> None:
    await limit(pool, "user", "ann", "1.00")
    taken = await reserve_at_once(pool, 200)
    assert len(taken) == 100
    assert await amounts(pool) == (0, Decimal("1.00"))

    await asyncio.gather(*(spend(pool, 0.004, reservation) for reservation in taken))
    # 100 x 0.004 as numbers of two would not be 0.4.
    assert await amounts(pool) == (Decimal("0.400"), 0)
    assert len(await reserve_at_once(pool, 200)) == 60
    assert await amounts(pool) == (Decimal("0.400"), Decimal("0.60"))


async def test_settling_and_reserving_at_once_never_passes_the_limit(pool: Pool) -> None:
    await limit(pool, "user", "ann", "0.50")

    async def ask() -> bool:
        try:
            reservation = await reserve(pool)
        except BudgetReached:
            return False
        await spend(pool, 0.01, reservation)
        return True

    assert sum(await asyncio.gather(*(ask() for _ in range(150)))) == 50
    assert await amounts(pool) == (Decimal("0.50"), 0)


async def test_the_tightest_budget_decides_and_the_refusal_leaves_nothing_behind(pool: Pool) -> None:
    for (kind, subject_id), dollars in zip(SUBJECTS, ("5", "3", "0.25"), strict=True):
        await limit(pool, kind, subject_id, dollars)
    assert len(await reserve_at_once(pool, 40, IN_TEAM)) == 25
    with pytest.raises(BudgetReached) as refusal:
        await reserve(pool, subjects=IN_TEAM)
    facts = refusal.value.facts
    assert (facts.kind, facts.subject_id, facts.limit, facts.spent, facts.reserved) == (
        "key",
        "key",
        0.25,
        0,
        0.25,
    )
    now = datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert facts.resets_at == first.replace(year=now.year + now.month // 12, month=now.month % 12 + 1)
    for kind, subject_id in SUBJECTS:
        assert await amounts(pool, kind, subject_id) == (0, Decimal("0.25")), kind


async def test_people_of_a_team_take_turns_whatever_else_limits_them(pool: Pool) -> None:
    """Budgets that overlap, asked for in opposite orders: none waits for another for ever."""
    async with pool.acquire() as conn:
        await conn.execute("""
            INSERT INTO "User" ("id", "clerkId", "email")
            SELECT 'p' || n, 'p' || n, 'p' || n FROM generate_series(0, 9) AS n
        """)
    await limit(pool, "team", "team", "1")
    people = [Subjects(user_id=f"p{n % 10}", team_id="team") for n in range(150)]
    results = await asyncio.gather(
        *(reserve(pool, subjects=person) for person in people), return_exceptions=True
    )
    assert sum(isinstance(result, UUID) for result in results) == 100
    assert sum(isinstance(result, BudgetReached) for result in results) == 50


async def test_what_it_really_cost_counts_even_where_that_passes_the_limit(pool: Pool) -> None:
    await limit(pool, "user", "ann", "1")
    await spend(pool, 1.5, await reserve(pool, Decimal("0.9")))
    assert await amounts(pool) == (Decimal("1.5"), 0)
    with pytest.raises(BudgetReached):
        await reserve(pool, Decimal("1e-12"))


async def test_what_was_not_done_is_given_back(pool: Pool) -> None:
    await limit(pool, "user", "ann", "0.01")
    reservation = await reserve(pool)
    async with pool.acquire() as conn:
        with pytest.raises(BudgetReached):
            await budgets.require_room(conn, ANN)
        await budgets.release(conn, reservation)
        await budgets.require_room(conn, ANN)
    assert await amounts(pool) == (0, 0)


async def test_a_limit_counts_what_was_spent_before_it_was_set_and_goes_without_a_trace(pool: Pool) -> None:
    await spend(pool, 0.75)
    await limit(pool, "user", "ann", "1")
    assert (await amounts(pool))[0] == Decimal("0.75")
    with pytest.raises(BudgetReached):
        await reserve(pool, Decimal("0.26"))
    await limit(pool, "user", "ann", None)
    await reserve(pool, Decimal(1000))
    async with pool.acquire() as conn:
        assert await budgets.find_budget(conn, "user", "ann") is None


async def test_only_what_models_cost_counts_and_only_where_it_costs(pool: Pool) -> None:
    await limit(pool, "user", "ann", "1")
    await spend(pool, 5.0, resource="execution")
    await spend(pool, 0.0)
    for odd in (float("nan"), float("inf"), -1.0):
        await spend(pool, odd)
    for resource in ("ai_request", "search", "document"):
        await spend(pool, 0.1, resource=resource)
    assert (await amounts(pool))[0] == Decimal("0.3")


async def test_the_month_turns_by_itself_and_never_back(pool: Pool) -> None:
    await limit(pool, "user", "ann", "1")
    await spend(pool, 1.0)
    with pytest.raises(BudgetReached):
        await reserve(pool)
    async with pool.acquire() as conn:
        await conn.execute("UPDATE budget SET month = month - interval '1 month'")
    assert await amounts(pool) == (0, 0)
    reservation = await reserve(pool)
    await spend(pool, 0.25, reservation)
    assert await amounts(pool) == (Decimal("0.25"), 0)

    # Another that began later has turned the month already: what comes late goes with it.
    async with pool.acquire() as conn:
        await conn.execute("UPDATE budget SET month = month + interval '1 month'")
    await spend(pool, 0.25, await reserve(pool))
    assert await amounts(pool) == (Decimal("0.50"), 0)
    async with pool.acquire() as conn:
        months = {row[0] for row in await conn.fetch("SELECT month FROM budget")}
        this_month = await conn.fetchval("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date")
    assert len(months) == 1
    assert min(months) > this_month
    assert (await standing(pool)).resets_at.date() > min(months)


async def test_a_reservation_that_nobody_settles_stands_for_an_hour(pool: Pool) -> None:
    await limit(pool, "user", "ann", "0.01")
    reservation = await reserve(pool)
    await _age(pool, "59 minutes 58 seconds")
    with pytest.raises(BudgetReached):
        await reserve(pool)
    await _age(pool, "3 seconds")
    assert await amounts(pool) == (0, 0)
    await reserve(pool)
    async with as_system(pool) as conn:
        assert await budgets.prune_budgets(conn) == 2
        assert await conn.fetchval("SELECT count(*) FROM budget_reservation WHERE id = $1", reservation) == 0
    assert await amounts(pool) == (0, CENT)
    # It was alive after all: what it did cost counts.
    await spend(pool, 0.007, reservation)
    assert await amounts(pool) == (Decimal("0.007"), CENT)


async def _age(pool: Pool, interval: str) -> None:
    async with pool.acquire() as conn:
        await conn.execute(f"UPDATE budget_reservation SET created_at = created_at - interval '{interval}'")


async def test_a_plan_limits_its_owner_and_a_team_has_its_own(pool: Pool, database_url: str, raw) -> None:
    await plan_limit(database_url, raw, "0.10")
    assert len(await reserve_at_once(pool, 20)) == 10
    assert len(await reserve_at_once(pool, 20, IN_TEAM)) == 10
    assert await amounts(pool, "plan", "ann") == (0, Decimal("0.10"))
    with pytest.raises(BudgetReached) as refusal:
        await reserve(pool, subjects=IN_TEAM)
    assert (refusal.value.facts.kind, refusal.value.facts.subject_id) == ("plan", "team")
    async with pool.acquire() as conn:
        await conn.execute("""UPDATE "Team" SET "subscriptionTier" = 'ENTERPRISE' WHERE "id" = 'team' """)
    await reserve(pool, Decimal(50), IN_TEAM)


async def test_those_of_the_caller_are_listed(pool: Pool, database_url: str, raw) -> None:
    await plan_limit(database_url, raw, "7")
    async with pool.acquire() as conn:
        await conn.execute("""
            INSERT INTO "User" ("id", "clerkId", "email") VALUES ('bob', 'bob', 'b@example.com');
            INSERT INTO "ApiKey" ("id", "userId", "name", "key") VALUES ('bobs', 'bob', 'k', 'other');
        """)
    others: list[tuple[Kind, str]] = [("user", "bob"), ("key", "bobs")]
    for kind, subject_id in SUBJECTS + others:
        await limit(pool, kind, subject_id, "2")
    await spend(pool, 0.5, subjects=IN_TEAM)
    async with pool.acquire() as conn:
        found = await budgets.list_budgets(conn, "ann", ["team"])
    assert [f"{row.kind} {row.subject_id}: {row.spent:.1f} of {row.monthly_limit}" for row in found] == [
        "user ann: 0.5 of 2",
        "team team: 0.5 of 2",
        "key key: 0.5 of 2",
        "plan ann: 0.0 of 7",
        "plan team: 0.5 of 7",
    ]


async def test_budgets_go_with_what_they_are_of_and_past_counters_are_pruned(pool: Pool) -> None:
    for kind, subject_id in SUBJECTS:
        await limit(pool, kind, subject_id, "2")
    await reserve(pool, subjects=IN_TEAM)
    await spend(pool, 0.5)

    async def left() -> set[tuple[str, str]]:
        async with pool.acquire() as conn:
            return {tuple(row) for row in await conn.fetch("SELECT subject_kind, subject_id FROM budget")}

    async with as_system(pool) as conn:
        await conn.execute("UPDATE budget SET month = month - interval '1 month'")
        assert await budgets.prune_budgets(conn) == 1
    assert await left() == {("user", "ann"), ("key", "key"), ("team", "team"), ("plan", "team")}
    async with pool.acquire() as conn:
        await conn.execute('DELETE FROM "ApiKey"')
        assert await left() == {("user", "ann"), ("team", "team"), ("plan", "team")}
        await conn.execute('DELETE FROM "Team"')
        assert await left() == {("user", "ann")}
        await conn.execute('DELETE FROM "User"')
        assert await left() == set()
        assert await conn.fetchval("SELECT count(*) FROM budget_reservation") == 0
