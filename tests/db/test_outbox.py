"""Events for webhooks: who is told, in whose transaction, and what it costs where there is nobody to tell."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from db import documents, ingestions, jobs, outbox, users, webhooks
from db.pool import Conn, Pool


@pytest.fixture
async def ann(conn: Conn) -> str:
    return (await users.create_user(conn, email="ann@example.com")).id


@pytest.fixture
async def team(conn: Conn, ann: str) -> str:
    team_id: str = await conn.fetchval(
        """INSERT INTO "Team" ("name", "slug") VALUES ('Readers', 'readers') RETURNING "id" """
    )
    await conn.execute(
        """INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ($1, $2, 'OWNER')""", team_id, ann
    )
    return team_id


async def add(conn: Conn, user_id: str, *, team_id: str | None = None, events: tuple[str, ...] = ()) -> str:
    async with conn.transaction():
        webhook_id = await webhooks.insert_webhook(
            conn,
            user_id=user_id,
            team_id=team_id,
            url="https://example.com/hook",
            sealed_secret="enc:…",
            events=events,
            description=None,
            limit=20,
        )
    assert webhook_id is not None
    return webhook_id


async def written(conn: Conn) -> list[dict[str, Any]]:
    rows = await conn.fetch("SELECT * FROM webhook_delivery ORDER BY created_at, webhook_id")
    return [dict(row) for row in rows]


async def queued(conn: Conn) -> set[str]:
    rows = await conn.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = $1", jobs.DELIVER_WEBHOOK)
    return {row["payload"].decode() for row in rows}


@contextlib.contextmanager
def logged(conn: Conn) -> Iterator[list[str]]:
    statements: list[str] = []
    with conn.query_logger(lambda record: statements.append(record.query)):
        yield statements


async def add_document(conn: Conn, user_id: str, team_id: str | None = None) -> str:
    document_id = f"document of {team_id or user_id}"
    await documents.insert_document(
        conn,
        document_id=document_id,
        user_id=user_id,
        team_id=team_id,
        title="Minutes",
        metadata=None,
        source_type="text",
        source_url=None,
    )
    return document_id


async def test_the_webhooks_of_a_space_that_want_an_event_are_told(conn: Conn, ann: str, team: str) -> None:
    bob = (await users.create_user(conn, email="bob@example.com")).id
    wanted = {await add(conn, ann), await add(conn, ann, events=("document.ready", "ping"))}
    await add(conn, ann, events=("document.failed",))
    paused = await add(conn, ann)
    await webhooks.pause_webhook(conn, paused, "gone")
    await add(conn, ann, team_id=team)
    await add(conn, bob)
    async with conn.transaction():
        assert await outbox.emit(conn, ann, "document.ready", {"document_id": "d1"}) == 2
    rows = await written(conn)
    assert {row["webhook_id"] for row in rows} == wanted
    assert {str(row["id"]) for row in rows} == await queued(conn)
    assert len({row["event_id"] for row in rows}) == 1
    assert rows[0]["event_id"].startswith("msg_")
    body = json.loads(rows[0]["body"])
    assert (body["type"], body["data"]) == ("document.ready", {"document_id": "d1"})
    assert body["timestamp"].endswith("Z")


async def test_a_teams_events_are_the_teams(conn: Conn, ann: str, team: str) -> None:
    await add(conn, ann)
    teams = await add(conn, ann, team_id=team)
    async with conn.transaction():
        assert await outbox.emit(conn, team, "team.updated", {"team_id": team}) == 1
    assert [row["webhook_id"] for row in await written(conn)] == [teams]


async def test_a_rollback_takes_event_and_job_along(conn: Conn, ann: str) -> None:
    await add(conn, ann)
    transaction = conn.transaction()
    await transaction.start()
    assert await outbox.emit(conn, ann, "document.ready", {}) == 1
    await transaction.rollback()
    assert await written(conn) == []
    assert await queued(conn) == set()


async def test_without_a_webhook_it_is_one_statement_and_writes_nothing(conn: Conn, ann: str) -> None:
    document_id = await add_document(conn, ann)
    await add(conn, ann, events=("ping",))
    with logged(conn) as statements:
        assert await outbox.emit(conn, ann, "document.ready", {}) == 0
        assert await outbox.emit_document(conn, ann, "document.ready", document_id) == 0
        await asyncio.sleep(0)  # the logger is called a turn later
    assert len(statements) == 2
    assert await written(conn) == []


async def test_webhooks_and_workflows_are_looked_up_by_index(conn: Conn, ann: str) -> None:
    await conn.execute(
        """
        SET session_replication_role = replica;  -- nobody there, and no limits
        INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId")
        SELECT 'w' || i, 'w', '[]', '[]', 'user ' || i FROM generate_series(1, 5000) AS i;
        INSERT INTO "WorkflowTrigger" ("workflowId", "nodeId", "type", "config", "eventType")
        SELECT 'w' || i, 'n', 'EVENT', '{}', 'document.ready' FROM generate_series(1, 5000) AS i;
        SET session_replication_role = DEFAULT;
        INSERT INTO "Webhook" ("userId", "url", "secret") SELECT 'user ' || i, 'https://example.com', 'enc:…'
        FROM generate_series(1, 5000) AS i
        """
    )
    await conn.execute('ANALYZE "Webhook", "Workflow", "WorkflowTrigger"')
    with logged(conn) as statements:
        await outbox.emit(conn, ann, "document.ready", {})
        await asyncio.sleep(0)
    (lookup,) = statements
    plan = "\n".join([row[0] for row in await conn.fetch("EXPLAIN " + lookup, ann, "document.ready")])
    assert "Seq Scan" not in plan, plan


async def test_a_document_is_described_without_its_text(conn: Conn, ann: str) -> None:
    await add(conn, ann)
    document_id = await add_document(conn, ann)
    await conn.execute("""UPDATE "Document" SET "content" = 'the budget is secret'""")
    async with conn.transaction():
        await ingestions.mark_failed(
            conn,
            ann,
            document_id,
            stage="parse",
            code="corrupt_file",
            detail="It is cut off.",
            retrying=False,
        )
        await outbox.emit_document(conn, ann, "document.failed", document_id)
        await outbox.emit_document(conn, ann, "document.deleted", document_id)
    failed, deleted = (json.loads(row["body"])["data"] for row in await written(conn))
    assert failed == {
        "document_id": document_id,
        "title": "Minutes",
        "status": "failed",
        "team_id": None,
        "source_type": "text",
        "source_url": None,
        "page_count": None,
        "chunk_count": None,
        "token_count": None,
        "error": {"stage": "parse", "code": "corrupt_file", "detail": "It is cut off."},
    }
    assert deleted == failed | {"status": "deleted", "error": None, "reason": "deleted"}


async def test_the_last_event_of_a_team_outlives_it(conn: Conn, ann: str, team: str) -> None:
    told = await add(conn, ann, team_id=team)
    await add(conn, ann, team_id=team, events=("document.ready",))
    async with conn.transaction():
        await outbox.emit(conn, team, "team.deleted", {"team_id": team})
        await conn.execute('DELETE FROM "Team" WHERE "id" = $1', team)
    (row,) = await written(conn)
    assert (row["webhook_id"], row["event_type"]) == (told, "team.deleted")
    (left,) = await webhooks.list_webhooks(conn, ann, [], limit=10, after=None, team_id=None)
    assert (left.id, left.team_id, left.events) == (told, None, ["team.deleted"])
    async with conn.transaction():
        assert await outbox.emit(conn, ann, "document.ready", {}) == 0


async def test_nobody_gets_more_webhooks_than_allowed_however_many_ask_at_once(pool: Pool, ann: str) -> None:
    async def one() -> str | None:
        async with pool.acquire() as conn, conn.transaction():
            return await webhooks.insert_webhook(
                conn,
                user_id=ann,
                team_id=None,
                url="https://example.com/hook",
                sealed_secret="enc:…",
                events=[],
                description=None,
                limit=20,
            )

    made = await asyncio.gather(*(one() for _ in range(60)))
    assert len([webhook_id for webhook_id in made if webhook_id is not None]) == 20
    async with pool.acquire() as conn:
        assert await conn.fetchval('SELECT count(*) FROM "Webhook"') == 20
