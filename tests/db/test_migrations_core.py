"""A document's space, and what follows it: chunks, vectors and the counts of terms."""

import numpy as np
import pytest
from pgvector import SparseVector, Vector

DIMENSIONS = 1_000_000_000


async def insert_document(conn, document_id="d", user_id="u", team_id=None, chunks=3):
    await conn.execute(
        'INSERT INTO "Document" ("id", "userId", "teamId", "title", "content") VALUES ($1, $2, $3, $1, $1)',
        document_id,
        user_id,
        team_id,
    )
    space_id = team_id or user_id
    await conn.execute("INSERT INTO ingestion (space_id, document_id) VALUES ($1, $2)", space_id, document_id)
    for ordinal in range(chunks):
        chunk_id = await conn.fetchval(
            """
            INSERT INTO chunk (space_id, id, document_id, ordinal, text, char_start, char_end, token_count,
                               content_hash, terms, term_weights)
            VALUES ($1, gen_random_uuid(), $2, $3, 'x', 0, 1, 1, '\\x00', $4, $5) RETURNING id
            """,
            space_id,
            document_id,
            ordinal,
            [7, 100 + ordinal],
            SparseVector({7: 1.0, 100 + ordinal: 0.5}, DIMENSIONS),
        )
        await conn.execute(
            "INSERT INTO chunk_embedding (space_id, chunk_id, document_id, model, embedding) "
            "VALUES ($1, $2, $3, 'm', $4)",
            space_id,
            chunk_id,
            document_id,
            Vector(np.full(1536, 0.1 * (ordinal + 1), dtype=np.float32)),
        )


async def add_people(conn):
    await conn.execute("""INSERT INTO "User" ("id", "clerkId", "email") VALUES ('u', 'c', 'e')""")
    await conn.execute(
        """INSERT INTO "Team" ("id", "name", "slug") VALUES ('t', 'T', 't'), ('t2', 'T2', 't2')"""
    )


async def counts(conn):
    """Return {(space, term): chunks} where it is not zero."""
    rows = await conn.fetch("""
        SELECT space_id, term, sum(chunks) AS n FROM term_count GROUP BY 1, 2 HAVING sum(chunks) <> 0
    """)
    return {(row["space_id"], row["term"]): row["n"] for row in rows}


async def spaces(conn):
    """Return which spaces the rows of each core table are in."""
    rows = await conn.fetch("""
        SELECT 'chunk' AS t, space_id, count(*) AS n FROM chunk GROUP BY 2
        UNION ALL SELECT 'chunk_embedding', space_id, count(*) FROM chunk_embedding GROUP BY 2
        UNION ALL SELECT 'ingestion', space_id, count(*) FROM ingestion GROUP BY 2
    """)
    return {(row["t"], row["space_id"]): row["n"] for row in rows}


def in_space(space):
    return {("chunk", space): 3, ("chunk_embedding", space): 3, ("ingestion", space): 1}


def counted(space):
    return {(space, 0): 3, (space, 7): 3, (space, 100): 1, (space, 101): 1, (space, 102): 1}


async def test_chunks_follow_their_document_from_space_to_space(conn):
    await add_people(conn)
    await insert_document(conn)
    assert (await spaces(conn), await counts(conn)) == (in_space("u"), counted("u"))
    for team, space in [("t", "t"), ("t2", "t2"), (None, "u")]:
        await conn.execute('UPDATE "Document" SET "teamId" = $1', team)
        assert (await spaces(conn), await counts(conn)) == (in_space(space), counted(space))


async def test_documents_of_a_deleted_team_return_to_their_user(conn):
    await add_people(conn)
    await insert_document(conn, team_id="t")
    assert await counts(conn) == counted("t")
    await conn.execute("""DELETE FROM "Team" WHERE "id" = 't'""")
    assert (await spaces(conn), await counts(conn)) == (in_space("u"), counted("u"))


async def test_documents_follow_a_team_whose_id_changes(conn):
    await add_people(conn)
    await insert_document(conn, team_id="t")
    await conn.execute("""UPDATE "Team" SET "id" = 't3' WHERE "id" = 't'""")
    assert (await spaces(conn), await counts(conn)) == (in_space("t3"), counted("t3"))


@pytest.mark.parametrize(
    "statement",
    [
        'DELETE FROM "Document"',
        "DELETE FROM chunk",
        'DELETE FROM chunk WHERE ordinal < 2; DELETE FROM "Document"',
        """DELETE FROM "Team" WHERE "id" = 't2'; DELETE FROM "Document" """,
        'UPDATE chunk SET terms = ARRAY[9]; DELETE FROM "Document"',
    ],
)
async def test_what_is_deleted_is_counted_out(conn, statement):
    await add_people(conn)
    await insert_document(conn)
    await insert_document(conn, "d2", team_id="t2")
    await conn.execute(statement)
    assert await counts(conn) == {}
    assert not await conn.fetchval("SELECT EXISTS (SELECT FROM chunk_embedding)")


async def test_a_rolled_back_chunk_is_not_counted(conn):
    await add_people(conn)
    transaction = conn.transaction()
    await transaction.start()
    await insert_document(conn)
    await transaction.rollback()
    assert await counts(conn) == {}


async def test_a_long_chunk_fits(conn):
    """An embedder with a window of thousands of tokens makes chunks of thousands of distinct terms."""
    await add_people(conn)
    await insert_document(conn, chunks=0)
    terms = list(range(1, 4001))
    await conn.execute(
        """
        INSERT INTO chunk (space_id, id, document_id, ordinal, text, char_start, char_end, token_count,
                           content_hash, terms, term_weights)
        VALUES ('u', gen_random_uuid(), 'd', 0, 'x', 0, 1, 1, '\\x00', $1, $2)
        """,
        terms,
        SparseVector(dict.fromkeys(terms, 1.0), DIMENSIONS),
    )
    assert await conn.fetchval("SELECT cardinality(terms) FROM chunk") == 4000
