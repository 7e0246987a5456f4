"""The schema from nothing, back to nothing, and what it promises."""

import asyncio

import asyncpg
import pytest
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from db import migrate
from db.errors import MigrationFailed, NotMigrated
from db.pool import open_pool
from migrations.sql import MIGRATION_LOCK
from tests.db.schema import schema_of
from tests.locks import until_waiting

DOCUMENTED_INDEXES = {
    "idx_user_clerk_id",
    "idx_user_email",
    "idx_user_subscription",
    "idx_workflow_user",
    "idx_workflow_status",
    "idx_workflow_category",
    "idx_workflow_public",
    "idx_execution_workflow",
    "idx_execution_user",
    "idx_execution_status",
    "idx_execution_started",
    "idx_ai_provider",
    "idx_conversation_user",
    "idx_conversation_model",
    "idx_document_user",
    "idx_document_embedding",
}


async def test_down_to_nothing_and_up_again_gives_the_same_schema(empty_database_url, raw):
    await migrate.upgrade(empty_database_url)
    conn = await raw(empty_database_url)
    made = await schema_of(conn)
    await migrate.downgrade(empty_database_url, "base")
    nothing = await schema_of(conn)
    await migrate.upgrade(empty_database_url)
    again = await schema_of(conn)
    assert nothing == {("extension", "", "plpgsql", "")}
    assert again == made
    assert len(made) > 300


async def test_each_revision_goes_down_and_up_by_itself(empty_database_url, raw):
    revisions = [revision.id for revision in migrate.pending(None)]
    await migrate.upgrade(empty_database_url)
    conn = await raw(empty_database_url)
    made = await schema_of(conn)
    for earlier in ["base", *revisions[:-1]][::-1]:
        await migrate.downgrade(empty_database_url, earlier)
    for revision in revisions:
        status = await migrate.upgrade(empty_database_url, revision)
        assert status.current == revision
    assert await schema_of(conn) == made


async def test_upgrading_again_does_nothing(database_url):
    status = await migrate.upgrade(database_url)
    assert (status.current, status.pending) == (migrate.head(), [])


async def test_status_tells_what_is_pending(empty_database_url):
    status = await migrate.status(empty_database_url)
    assert status.current is None
    assert [revision.id for revision in status.pending][:3] == ["0001", "0002", "0003"]
    assert status.pending[-1].id == status.head
    assert status.database in empty_database_url
    after = await migrate.upgrade(empty_database_url, "0002")
    assert after.pending[0].id == "0003"


async def test_two_migrators_at_once_take_turns(empty_database_url):
    statuses = await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(3)))
    assert {status.current for status in statuses} == {migrate.head()}


async def test_migrating_waits_for_another_migrator(empty_database_url, raw):
    other = await raw(empty_database_url)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        waiting = asyncio.create_task(migrate.upgrade(empty_database_url))
        await until_waiting(other, unless=waiting)
        assert not await other.fetchval("SELECT to_regclass('\"User\"') IS NOT NULL")
    assert (await waiting).pending == []


async def test_a_failed_migration_changes_nothing(empty_database_url, raw):
    conn = await raw(empty_database_url)
    # In the way of the second revision, when the first has been through.
    await conn.execute("CREATE TABLE chunk (mine text)")
    before = await schema_of(conn)
    with pytest.raises(MigrationFailed, match="changed nothing"):
        await migrate.upgrade(empty_database_url)
    assert await schema_of(conn) == before


async def test_a_database_of_a_newer_version_is_refused(database_url, raw):
    conn = await raw(database_url)
    await conn.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MigrationFailed, match="newer version"):
        await migrate.upgrade(database_url)


async def test_an_outdated_schema_is_told_from_a_current_one(database_url):
    async with open_pool(database_url, size=1) as pool, pool.acquire() as conn:
        await migrate.require_head(conn)
        await conn.execute("UPDATE alembic_version SET version_num = '0001'")
        with pytest.raises(NotMigrated) as outdated:
            await migrate.require_head(conn)
        await conn.execute("DROP TABLE alembic_version")
        with pytest.raises(NotMigrated, match="docsearch db migrate"):
            await migrate.require_head(conn)
    assert outdated.value.current == "0001"


async def test_every_documented_index_exists_by_name(conn):
    names = {row[0] for row in await conn.fetch("SELECT indexname FROM pg_indexes")}
    assert names >= DOCUMENTED_INDEXES


async def test_every_foreign_key_has_an_index(conn):
    uncovered = await conn.fetch("""
        SELECT k.conrelid::regclass::text AS relation, k.conname
        FROM pg_constraint k
        WHERE k.contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
              -- The index begins with the key's columns, in whatever order.
              AND (i.indkey::int2[])[0:array_length(k.conkey, 1) - 1] @> k.conkey)
    """)
    assert [tuple(row) for row in uncovered] == []


async def test_foreign_keys_do_what_the_reference_says(conn):
    rows = await conn.fetch("""
        SELECT conname, confdeltype::text AS deleted, confupdtype::text AS updated FROM pg_constraint
        WHERE contype = 'f' AND confrelid IN ('"User"'::regclass, '"Team"'::regclass, '"Workflow"'::regclass,
                                              '"AIModel"'::regclass)
    """)
    on_delete = {row["conname"]: row["deleted"] for row in rows}
    assert {row["updated"] for row in rows} == {"c"}
    assert on_delete.pop("AIConversation_modelId_fkey") == "r"
    assert on_delete.pop("Workflow_teamId_fkey") == "n"
    assert on_delete.pop("Document_teamId_fkey") == "n"
    assert on_delete.pop("AIConversation_teamId_fkey") == "n"
    assert set(on_delete.values()) == {"c"}
    assert len(on_delete) == 21


async def test_timestamps_are_utc_whatever_the_database_says(database_url, raw):
    name = database_url.split("?")[0].rsplit("/", 1)[1]
    conn = await raw(database_url)
    await conn.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    async with open_pool(database_url, size=1) as pool, pool.acquire() as conn:
        row = await conn.fetchrow("""
            INSERT INTO "User" ("clerkId", "email") VALUES ('c', 'e')
            RETURNING "createdAt", "updatedAt", clock_timestamp()
        """)
    assert row is not None
    created, updated, now = row
    assert abs((now - created).total_seconds()) < 60
    assert updated == created


async def test_updated_at_follows_writes_that_do_not_set_it(conn):
    await conn.execute("""
        INSERT INTO "Team" ("id", "name", "slug", "updatedAt") VALUES ('t', 'a', 'a', '2020-01-01')
    """)
    ours = await conn.fetchval("""UPDATE "Team" SET "name" = 'b' RETURNING "updatedAt" """)
    theirs = await conn.fetchval("""
        UPDATE "Team" SET "name" = 'c', "updatedAt" = '2021-01-01' RETURNING "updatedAt"
    """)
    assert ours.year > 2021
    assert theirs.year == 2021


async def test_ids_are_made_where_the_client_makes_none(conn):
    made = await conn.fetchval("""
        INSERT INTO "Team" ("name", "slug") VALUES ('a', 'a') RETURNING "id"
    """)
    assert len(made) == 36


async def test_storage_of_a_pro_plan_fits(conn):
    used = await conn.fetchval("""
        INSERT INTO "User" ("clerkId", "email", "storageUsed") VALUES ('c', 'e', 10 * 1024 ^ 3)
        RETURNING "storageUsed"
    """)
    assert used == 10 * 1024**3


async def test_the_queue_has_the_schema_its_library_wants(database_url):
    """Fails when the locked PgQueuer asks for another schema than the revision froze."""
    driver_conn = await asyncpg.connect(dsn=database_url)
    queries = Queries(AsyncpgDriver(driver_conn))
    assert await queries.schema_is_installed()
    plan = await queries.plan_upgrade()
    await driver_conn.close()
    assert (plan.statements, plan.notes) == ((), ())


async def test_what_the_first_version_stored_is_counted_and_its_owner_has_no_limit(empty_database_url, raw):
    await migrate.upgrade(empty_database_url, "0004")
    conn = await raw(empty_database_url)
    await conn.execute("""
        INSERT INTO "User" ("id", "clerkId", "email") VALUES ('me', 'local-owner', 'a@b.c'), ('ann', 'ann', 'b@b.c');
        INSERT INTO "Document" ("id", "userId", "title", "content")
        VALUES ('d', 'me', 't', 'c'), ('e', 'ann', 't', 'c');
        INSERT INTO original VALUES ('me', 'd', 'k', 'f', 'text/plain', 7, sha256('x')),
                                    ('ann', 'e', 'k', 'f', 'text/plain', 5, sha256('x'));
    """)
    await migrate.upgrade(empty_database_url)
    rows = await conn.fetch("""
        SELECT "id", "storageUsed", "subscriptionTier"::text FROM "User" ORDER BY "id"
    """)
    assert [tuple(row) for row in rows] == [("ann", 5, "FREE"), ("me", 7, "ENTERPRISE")]
