"""Hot queries keep their indexes under row-level security: lists as a person, searches as the service."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from asyncpg.connection import LoggedQuery

from db import documents
from db.documents import Cursor
from db.lexical import CHUNK_COUNT, weigh_query
from db.pool import Conn, Pool, connect, open_pool
from db.retrieval import _CANDIDATE_SEARCHES, EMBEDDING_INDEX, Scope
from db.roles import ensure_login
from db.tenancy import as_caller
from db.usage import sum_usage
from tests.database import TestServer
from tests.search.rows import unit

PEOPLE = 400
ROWS = 50
"""Of each kind, for each person: enough that reading a whole table is never the cheaper plan."""


@pytest.fixture(scope="module")
def filled(postgres: TestServer) -> Iterator[str]:
    """A database with many people and rows of every kind that is listed; nothing here changes it."""
    dsn = postgres.create()
    asyncio.run(_fill(dsn))
    yield dsn
    postgres.drop(dsn)


@pytest.fixture
async def pool(filled: str) -> AsyncIterator[Pool]:
    """Connections to it as the service has them."""
    async with open_pool(await ensure_login(filled), size=2) as opened:
        yield opened


async def _fill(dsn: str) -> None:
    conn = await connect(dsn)
    await conn.execute(f"""
        INSERT INTO "User" ("id", "clerkId", "email")
        SELECT 'u' || n, 'c' || n, n || '@example.com' FROM generate_series(1, {PEOPLE}) AS n;
        INSERT INTO "Team" ("id", "name", "slug") SELECT 't' || n, 't', 't' || n FROM generate_series(1, {PEOPLE}) AS n;
        INSERT INTO "TeamMember" ("teamId", "userId", "role")
        SELECT 't' || n, 'u' || n, 'OWNER' FROM generate_series(1, {PEOPLE}) AS n;
        INSERT INTO "Document" ("id", "userId", "teamId", "title", "content")
        SELECT 'd' || n || '-' || i, 'u' || n, CASE WHEN i % 2 = 0 THEN 't' || n END, 't', 'c'
        FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, {ROWS}) AS i;
        INSERT INTO ingestion (space_id, document_id, status) SELECT "spaceId", "id", 'ready' FROM "Document";
        INSERT INTO original SELECT "spaceId", "id", 'k', 'f', 'text/plain', 1, sha256('x') FROM "Document";
        INSERT INTO chunk (space_id, id, document_id, ordinal, text, char_start, char_end, token_count, content_hash,
                           terms, term_weights)
        SELECT "spaceId", gen_random_uuid(), "id", 0, 'x', 0, 1, 1, 'h', ARRAY[7, 100 + length("id")],
               '{{7:1}}/1000000000' FROM "Document";
        INSERT INTO "Notification" ("userId", "type", "title", "message")
        SELECT 'u' || n, 'SYSTEM', 't', 'm' FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, {ROWS});
        INSERT INTO "UsageLog" ("userId", "teamId", "resourceType", "action", "createdAt")
        SELECT 'u' || n, CASE WHEN i % 2 = 0 THEN 't' || n END, 'search', 'q', now() - make_interval(days => i)
        FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, {ROWS}) AS i;
        INSERT INTO "ApiKey" ("userId", "name", "key")
        SELECT 'u' || n, 'k', n || '-' || i FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, 20) AS i;
        INSERT INTO audit_log (actor, actor_id, action, resource_type, resource_id, team_id)
        SELECT 'user', 'u' || n, 'a', 'team', 't', 't' || n
        FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, {ROWS});
        SET session_replication_role = replica;  -- the plan's limit of workflows is not what this is about
        INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId")
        SELECT 'w' || n || '-' || i, 'w', '[]', '[]', 'u' || n
        FROM generate_series(1, {PEOPLE}) AS n, generate_series(1, 10) AS i;
        INSERT INTO "WorkflowExecution" ("workflowId", "userId")
        SELECT w."id", w."userId" FROM "Workflow" w, generate_series(1, 10);
        ANALYZE;
    """)
    await conn.close()


# What routes ask of the large tables, in the words of db/: the conditions and the order, with the caller's ids.
AS_A_PERSON = {
    "the newest notifications": (
        'SELECT * FROM "Notification" WHERE "userId" = $1 ORDER BY "createdAt" DESC, "id" DESC LIMIT 50',
        "u7",
    ),
    "unread notifications": (
        'SELECT count(*) FROM "Notification" WHERE "userId" = $1 AND NOT "isRead"',
        "u7",
    ),
    "a person's usage": (
        """SELECT count(*) FROM "UsageLog" WHERE "userId" = $1 AND "createdAt" > now() - interval '30 days' """,
        "u7",
    ),
    "a person's keys": (
        'SELECT "id" FROM "ApiKey" WHERE "userId" = $1 ORDER BY "createdAt" DESC, "id" DESC',
        "u7",
    ),
    "a team's audit log": ("SELECT * FROM audit_log WHERE team_id = $1 ORDER BY id DESC LIMIT 50", "t7"),
    "a workflow's executions": (
        'SELECT "id" FROM "WorkflowExecution" WHERE "workflowId" = $1 ORDER BY "startedAt" DESC, "id" DESC LIMIT 20',
        "w7-3",
    ),
    "a person's workflows": (
        'SELECT "id" FROM "Workflow" WHERE "userId" = $1 ORDER BY "createdAt" DESC, "id" DESC LIMIT 20',
        "u7",
    ),
    "a document's chunks": (
        "SELECT text FROM chunk WHERE space_id = ANY(ARRAY['u7', 't7']) AND document_id = $1 ORDER BY ordinal LIMIT 50",
        "d7-1",
    ),
}


@pytest.mark.parametrize("name", AS_A_PERSON)
async def test_lists_of_a_person_use_an_index(pool: Pool, name: str) -> None:
    sql, argument = AS_A_PERSON[name]
    async with as_caller(pool, "c7") as conn:
        plan = await _explain(conn, sql, argument)
    assert "Index" in plan
    # The tables of people and teams are small, and a person's own rows are found in them by index all the same.
    assert "Seq Scan" not in plan, plan


async def test_the_list_of_documents_uses_its_index(pool: Pool) -> None:
    cursor = Cursor(None, None)  # type: ignore[arg-type]
    async with as_caller(pool, "c7") as conn:
        rows = await documents.list_documents(conn, ["u7", "t7"], limit=20)
        plan = await _explain(
            conn,
            documents._SELECT
            + """
            AND ($2::timestamptz IS NULL OR (d."createdAt", d."id") < ($2::timestamptz AT TIME ZONE 'UTC', $3::text))
            ORDER BY d."createdAt" DESC, d."id" DESC LIMIT 20
            """,
            ["u7", "t7"],
            *cursor,
        )
    assert len(rows) == 20
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize("plan", ["custom", "generic"])
@pytest.mark.parametrize("whose", ["a person's", "a team's"])
async def test_sums_of_usage_use_an_index(pool: Pool, whose: str, plan: str) -> None:
    of_team = whose == "a team's"
    now = datetime.now(UTC)
    asked: list[LoggedQuery] = []
    async with as_caller(pool, "c7") as conn:
        with conn.query_logger(asked.append):
            sums = await sum_usage(
                conn,
                user_id=None if of_team else "u7",
                team_id="t7" if of_team else None,
                since=now - timedelta(days=30, hours=1),
                until=now,
                by_day=True,
                by_kind=True,
                by_team=False,
                by_key=False,
                limit=1000,
            )
        # A prepared statement gets a plan for any arguments after its fifth use.
        await conn.execute(f"SET LOCAL plan_cache_mode = force_{plan}_plan")
        found = await _explain(conn, asked[0].query, *asked[0].args)
    assert sum(row.requests for row in sums) == (15 if of_team else 30)
    assert f"UsageLog_{'teamId' if of_team else 'userId'}_createdAt_idx" in found, found
    assert "Seq Scan" not in found, found


async def test_search_finds_terms_by_their_index_as_the_service(pool: Pool) -> None:
    query = weigh_query("word", {CHUNK_COUNT: 1000})
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == "docsearch_server"
        plan = await _explain(
            conn,
            _CANDIDATE_SEARCHES["none", False],
            *Scope(("u7",)).arguments,
            "m",
            unit(1),
            100,
            [7, 105],
            query.to_vector(),
            100,
            query.to_vector(),
        )
    assert "Bitmap Index Scan on chunk_terms_idx" in plan, plan
    assert "docsearch_spaces" not in plan, "a policy for people is part of the search's plan"
    assert EMBEDDING_INDEX not in plan


async def test_the_same_search_as_a_person_could_not_use_that_index(pool: Pool) -> None:
    """Why search runs as the service: `&&` is not leakproof, so under a policy it may not be asked first."""
    query = weigh_query("word", {CHUNK_COUNT: 1000})
    async with as_caller(pool, "c7") as conn:
        plan = await _explain(
            conn,
            _CANDIDATE_SEARCHES["none", False],
            *Scope(("u7",)).arguments,
            "m",
            unit(1),
            100,
            [7, 105],
            query.to_vector(),
            100,
            query.to_vector(),
        )
    assert "chunk_terms_idx" not in plan


async def _explain(conn: Conn, sql: str, *arguments: object) -> str:
    return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *arguments))
