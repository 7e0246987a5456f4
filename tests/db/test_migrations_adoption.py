"""Coming to a database that Prisma made, with people's rows in it, and leaving it again."""

from pathlib import Path

import pytest

from db import migrate
from tests.db.schema import columns_of, row_digests, schema_of

PRISMA = (Path(__file__).parent / "prisma.sql").read_text()
ROWS = (Path(__file__).parent / "prisma_rows.sql").read_text()


async def prisma_made(raw, dsn, script=PRISMA, rows=ROWS):
    """Return a connection to a database as the web application left it."""
    conn = await raw(dsn)
    await conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    await conn.execute(script)
    await conn.execute(rows)
    return conn


async def test_every_row_keeps_every_byte_on_the_way_up_and_down(empty_database_url, raw):
    conn = await prisma_made(raw, empty_database_url)
    columns = await columns_of(conn)
    before = await row_digests(conn, columns)
    schema_before = await schema_of(conn)

    await migrate.upgrade(empty_database_url)
    assert await row_digests(conn, columns) == before

    await migrate.downgrade(empty_database_url, "base")
    assert await row_digests(conn, columns) == before
    assert await columns_of(conn) == columns
    assert await schema_of(conn) == schema_before
    assert len(before) == 16
    assert all(count > 0 for count, _ in before.values())


async def test_an_adopted_schema_ends_up_like_a_fresh_one(empty_database_url, database_url, raw):
    conn = await prisma_made(raw, empty_database_url)
    await migrate.upgrade(empty_database_url)
    fresh = await raw(database_url)
    assert await schema_of(conn) == await schema_of(fresh)


async def test_a_prisma_schema_without_the_vector_column_gets_it(empty_database_url, database_url, raw):
    without = "\n".join(line for line in PRISMA.splitlines() if "vector(1536)" not in line)
    conn = await prisma_made(raw, empty_database_url, script=without, rows="SELECT 1")
    await conn.execute("DROP EXTENSION vector")
    schema_before = await schema_of(conn)
    await migrate.upgrade(empty_database_url)
    fresh = await raw(database_url)
    assert await schema_of(conn) == await schema_of(fresh)
    await migrate.downgrade(empty_database_url, "base")
    assert await schema_of(conn) == schema_before


async def test_tables_of_an_earlier_state_of_the_models_are_completed(empty_database_url, raw):
    conn = await raw(empty_database_url)
    await conn.execute("""
        CREATE TYPE "SubscriptionTier" AS ENUM ('FREE', 'PRO', 'ENTERPRISE');
        CREATE TABLE "User" ("id" TEXT NOT NULL, "clerkId" TEXT NOT NULL, "email" TEXT NOT NULL,
                             "subscriptionTier" "SubscriptionTier" NOT NULL,
                             "storageUsed" INTEGER NOT NULL DEFAULT 0,
                             CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
        CREATE TABLE "Document" ("id" TEXT NOT NULL, "userId" TEXT NOT NULL, "title" TEXT NOT NULL,
                                 "content" TEXT NOT NULL, CONSTRAINT "Document_pkey" PRIMARY KEY ("id"));
        INSERT INTO "User" VALUES ('u', 'c', 'e', 'PRO', 7);
        INSERT INTO "Document" VALUES ('d', 'u', 'Title', 'text');
    """)
    columns = await columns_of(conn)
    before = await row_digests(conn, columns)
    await migrate.upgrade(empty_database_url)
    assert await row_digests(conn, columns) == before
    tier = await conn.fetchval("""
        INSERT INTO "User" ("clerkId", "email") VALUES ('c2', 'e2') RETURNING "subscriptionTier"
    """)
    assert tier == "FREE"


async def test_values_too_wide_for_the_old_type_stay_on_the_way_down(empty_database_url, raw):
    conn = await prisma_made(raw, empty_database_url)
    await migrate.upgrade(empty_database_url)
    await conn.execute("""UPDATE "User" SET "storageUsed" = 10000000000 WHERE "id" = 'u2'""")
    await migrate.downgrade(empty_database_url, "base")
    assert await conn.fetchval("""SELECT "storageUsed" FROM "User" WHERE "id" = 'u2'""") == 10_000_000_000


async def test_what_others_added_later_stays_on_the_way_down(empty_database_url, raw):
    conn = await prisma_made(raw, empty_database_url)
    await migrate.upgrade(empty_database_url)
    await conn.execute("""
        CREATE TABLE "Feature" ("id" TEXT PRIMARY KEY);
        CREATE INDEX mine ON "User"("lastName");
        ALTER TABLE "User" ADD COLUMN "nickname" TEXT DEFAULT 'x';
    """)
    await migrate.downgrade(empty_database_url, "base")
    assert await conn.fetchval("""SELECT count(*) FROM "User" WHERE "nickname" = 'x'""") == 2
    assert await conn.fetchval("""SELECT to_regclass('mine') IS NOT NULL""")
    assert await conn.fetchval("""SELECT to_regclass('"Feature"') IS NOT NULL""")


@pytest.mark.parametrize("user_wide", [True, False])
async def test_the_documented_query_finds_the_nearest_documents(database_url, user_wide, raw):
    """The query of DATABASE.md with its columns quoted, against distances worked out row by row."""
    conn = await raw(database_url)
    await conn.execute("""
        INSERT INTO "Document" ("id", "userId", "title", "content", "embedding")
        SELECT 'd' || n, CASE WHEN n % 7 = 0 THEN 'me' ELSE 'other' END, 't', 'c',
               (SELECT array_agg(sin(n * 0.37 + i * (n % 11 + 1))) FROM generate_series(1, 1536) AS i)::vector
        FROM generate_series(1, 1500) AS n
    """)
    probe = await conn.fetchval("""SELECT "embedding"::text FROM "Document" WHERE "id" = 'd700'""")
    owners = ["me"] if user_wide else ["me", "other"]
    order = "embedding <=> $1::vector" if user_wide else "similarity DESC"
    found = await conn.fetch(
        f"""
        SELECT id, title, content, 1 - (embedding <=> $1::vector) AS similarity
        FROM "Document" WHERE "userId" = ANY ($2) ORDER BY {order} LIMIT 10
        """,
        probe,
        owners,
    )
    exact = await conn.fetch(
        """
        WITH every AS MATERIALIZED (
            SELECT id, 1 - cosine_distance(embedding, $1::vector) AS similarity
            FROM "Document" WHERE "userId" = ANY ($2))
        SELECT id, similarity FROM every ORDER BY similarity DESC LIMIT 10
        """,
        probe,
        owners,
    )
    assert found[0]["id"] == "d700"
    assert [row["similarity"] for row in found] == pytest.approx(
        [row["similarity"] for row in exact], abs=1e-6
    )
    assert len({row["id"] for row in found}) == 10
