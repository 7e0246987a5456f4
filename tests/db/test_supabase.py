"""On a server with Supabase's roles: browsers see and change what people may, and nobody the service's own tables."""

import asyncpg
import pytest

from db import migrate
from tests.db.conftest import Raw


@pytest.fixture
async def supabase(empty_database_url: str, raw: Raw) -> "asyncpg.Connection[asyncpg.Record]":
    """A database as Supabase has it: its roles, and tables that are wide open to them when they are made."""
    conn = await raw(empty_database_url)
    await conn.execute("""
        DO $$ BEGIN
            CREATE ROLE anon NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        DO $$ BEGIN
            CREATE ROLE authenticated NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
        CREATE SCHEMA auth;
        CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
            'SELECT nullif(current_setting(''request.jwt.claims'', true), '''')::jsonb';
    """)
    await migrate.upgrade(empty_database_url)
    await conn.execute("""
        INSERT INTO "User" ("id", "clerkId", "email") VALUES ('ann', 'user_ann', 'a@b.c'), ('bob', 'user_bob', 'b@b.c');
        INSERT INTO "Document" ("id", "userId", "title", "content") VALUES ('d', 'ann', 't', 'c');
        INSERT INTO original VALUES ('ann', 'd', 'd/d', 'f', 'text/plain', 1, sha256('x'));
    """)
    return conn


async def _as(conn: "asyncpg.Connection[asyncpg.Record]", role: str, subject: str, sql: str) -> object:
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(
            """
            SELECT set_config('role', $1, true),
                   set_config('request.jwt.claims', json_build_object('sub', $2::text, 'role', $1::text)::text, true)
            """,
            role,
            subject,
        )
        return await conn.fetchval(sql)
    finally:
        await transaction.rollback()


async def test_a_browser_sees_its_persons_documents(supabase: "asyncpg.Connection[asyncpg.Record]") -> None:
    ask = 'SELECT count(*) FROM "Document"'
    assert await _as(supabase, "authenticated", "user_ann", ask) == 1
    assert await _as(supabase, "authenticated", "user_bob", ask) == 0
    change = """UPDATE "Document" SET "title" = 'x' RETURNING 1"""
    assert await _as(supabase, "authenticated", "user_ann", change) == 1
    assert await _as(supabase, "authenticated", "user_bob", change) is None


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT count(*) FROM "Document"',
        'SELECT count(*) FROM "User"',
        "SELECT count(*) FROM plan",
        "SELECT docsearch_found_team('x', 'x')",
    ],
)
async def test_nobody_in_particular_sees_nothing(
    supabase: "asyncpg.Connection[asyncpg.Record]", sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _as(supabase, "anon", "", sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM pgqueuer",
        "SELECT count(*) FROM received_event",
        "SELECT count(*) FROM alembic_version",
        "INSERT INTO pgqueuer (priority, entrypoint, status) VALUES (0, 'ingest_document', 'queued')",
        # The bytes of somebody else's document, under one's own.
        "INSERT INTO original VALUES ('ann', 'd', 'x/x', 'f', 'text/plain', 1, sha256('x'))",
        "UPDATE original SET storage_key = 'x/x'",
        "UPDATE ingestion SET status = 'ready'",
        """UPDATE "User" SET "subscriptionTier" = 'ENTERPRISE' """,
        "SELECT charge_storage('ann', -1)",
        'SELECT "key" FROM "ApiKey"',
    ],
)
async def test_a_browser_does_not_do_the_services_work(
    supabase: "asyncpg.Connection[asyncpg.Record]", sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _as(supabase, "authenticated", "user_ann", sql)
