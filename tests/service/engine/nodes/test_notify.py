"""Notifications: to people of the run's space alone, and once."""

from typing import Any

import pytest

from db import teams, users
from db.pool import Pool
from service.engine.errors import NodeError
from service.engine.nodes.base import Emit, RunContext
from service.engine.services import Services
from tests.service.engine.calls import commit, one_row, outputs, run_node, run_of


async def told(pool: Pool) -> list[tuple[str, str, str]]:
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            """
            SELECT u."email" AS email, n."title" AS title, n."message" AS message
            FROM "Notification" n JOIN "User" u ON u."id" = n."userId" ORDER BY 1, 2
            """
        )
    return [(row["email"], row["title"], row["message"]) for row in rows]


@pytest.fixture
async def team_run(pool: Pool) -> RunContext:
    """A run of a team of two, whose workflow the second one made."""
    async with pool.acquire() as conn, conn.transaction():
        team_id = await conn.fetchval(
            """INSERT INTO "Team" ("name", "slug") VALUES ('T', 't') RETURNING "id" """
        )
        owner = await users.create_user(conn, email="owner@team.example")
        member = await users.create_user(conn, email="Member@team.example")
        await users.create_user(conn, email="stranger@example.com")
        await teams.insert_member(conn, team_id, owner.id, "OWNER")
        await teams.insert_member(conn, team_id, member.id, "MEMBER")
        return await run_of(conn, member.id, member.clerk_id, team_id)


async def test_the_owner_is_told_with_the_nodes_end(services: Services, run: RunContext, pool: Pool) -> None:
    data = {"title": "Found  it\n", "message": {"n": 3}}
    outcome = await run_node("notify", data, {"a": 1}, services=services, run=run)
    assert isinstance(outcome, Emit)
    assert await told(pool) == []
    assert await commit(services, outcome) == [("output", {"a": 1})]
    assert await told(pool) == [("owner@example.com", "Found it", '{"n":3}')]
    row = await one_row(pool, 'SELECT "type"::text, "data" FROM "Notification"')
    assert row == ("SYSTEM", {"workflow_id": run.workflow_id, "execution_id": run.execution_id})


async def test_a_team_or_some_of_it_are_told(services: Services, team_run: RunContext, pool: Pool) -> None:
    for data in ({"title": "1"}, {"title": "2", "to": "team"}, {"title": "3", "to": ["OWNER@team.example"]}):
        await outputs("notify", data, {}, services=services, run=team_run)
    assert [(email, title) for email, title, _ in await told(pool)] == [
        ("Member@team.example", "1"),
        ("Member@team.example", "2"),
        ("owner@team.example", "2"),
        ("owner@team.example", "3"),
    ]


@pytest.mark.parametrize("address", ["stranger@example.com", "nobody@example.com", "a\x00b"])
async def test_nobody_else_can_be_told(
    services: Services, team_run: RunContext, run: RunContext, pool: Pool, address: str
) -> None:
    for who in (team_run, run):
        with pytest.raises(NodeError) as raised:
            await outputs("notify", {"title": "Buy!", "to": [address]}, {}, services=services, run=who)
        assert (raised.value.code, raised.value.field) == ("not_found", "data.to")
    assert await told(pool) == []


async def test_lengths_are_bounded(services: Services, run: RunContext, pool: Pool) -> None:
    data: dict[str, Any] = {"title": "t" * 500, "message": "m" * 5_000}
    await outputs("notify", data, {}, services=services, run=run)
    ((_, title, message),) = await told(pool)
    assert (len(title), len(message), title[-1]) == (200, 2_000, "…")
    with pytest.raises(NodeError, match="title says nothing"):
        await outputs("notify", {"title": " \x00 "}, {}, services=services, run=run)
