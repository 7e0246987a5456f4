"""Collections hold documents of their own space, and a search in one finds those and no others."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from db import batches, chunkings, collections, members
from db.chunkings import Chunking
from db.chunks import clear_document
from db.filters import Eq, Ne, compile_filter
from db.ingestions import claim_ingestion
from db.members import NewMember
from db.pool import Conn, Pool
from db.retrieval import Scope
from tests.db.test_retrieval import find
from tests.locks import until_waiting
from tests.search.rows import add_document, chunk_id, unit


async def add_people(conn: Conn) -> None:
    await conn.execute("""
        INSERT INTO "User" ("id", "clerkId", "email") VALUES ('s', 'c', 's@example.com'), ('x', 'd', 'x@example.com');
        INSERT INTO "Team" ("id", "name", "slug") VALUES ('t', 'T', 't');
    """)


async def add_collection(
    conn: Conn, *document_ids: str, user_id: str = "s", team_id: str | None = None
) -> str:
    made = await collections.insert_collection(
        conn,
        user_id=user_id,
        team_id=team_id,
        name=None,
        description=None,
        metadata=None,
        expires_after_days=None,
    )
    put_in = [NewMember(document_id=name, attributes={"name": name}) for name in document_ids]
    assert await members.insert_members(conn, team_id or user_id, made, put_in) == set(document_ids)
    return made


@pytest.mark.parametrize("probes", [None, 1])
async def test_a_search_in_a_collection_finds_what_is_in_it(conn: Conn, probes: int | None) -> None:
    await add_people(conn)
    for document_id in ("d1", "d2", "d3"):
        await add_document(conn, "s", document_id, ["panda"], metadata={"year": 2023})
    await add_document(conn, "x", "theirs", ["panda"])
    one, both = await add_collection(conn, "d1"), await add_collection(conn, "d1", "d2")
    theirs = await add_collection(conn, "theirs", user_id="x")

    async def found(*ids: str, **narrower: object) -> set[UUID]:
        scope = Scope(("s",), collection_ids=ids, **narrower)  # type: ignore[arg-type]
        by_words = set(await find(conn, scope, "panda"))
        assert by_words == set(await find(conn, scope, embedding=unit(1), probes=probes))
        return by_words

    d1, d2 = chunk_id("d1", 0), chunk_id("d2", 0)
    assert await found(one) == {d1}
    assert await found(one, both) == {d1, d2}
    assert await found() == set()
    # A collection of another space adds nothing: the spaces stay the caller's.
    assert await found(one, theirs) == {d1}
    assert await found(both, document_ids=("d2", "d3")) == {d2}
    assert await found(both, attributes=compile_filter(Eq(key="name", value="d2"))) == {d2}
    assert await found(both, attributes=compile_filter(Ne(key="name", value="d2"))) == {d1}
    assert await found(both, filter=compile_filter(Ne(key="year", value=2023))) == set()
    await conn.execute("UPDATE collection_document SET cancelled_at = now() WHERE document_id = 'd1'")
    assert await found(both) == {d2}


async def test_only_documents_of_its_own_space_can_be_in_it(conn: Conn) -> None:
    await add_people(conn)
    await add_document(conn, "x", "theirs", ["panda"])
    made = await add_collection(conn)
    assert (
        await members.insert_members(conn, "s", made, [NewMember(document_id="theirs", attributes=None)])
        == set()
    )
    for space_id in ("s", "x"):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await conn.execute(
                "INSERT INTO collection_document (collection_id, space_id, document_id) VALUES ($1, $2, 'theirs')",
                made,
                space_id,
            )


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE "Document" SET "teamId" = 't' WHERE "id" = 'd1' """,
        """UPDATE "Document" SET "userId" = 'x' WHERE "id" = 'd1' """,
        """DELETE FROM "Document" WHERE "id" = 'd1' """,
    ],
)
async def test_what_moves_away_or_is_deleted_leaves_its_collections_and_batches(
    conn: Conn, change: str
) -> None:
    await add_people(conn)
    await add_document(conn, "s", "d1", ["panda"])
    await add_document(conn, "s", "d2", ["panda"])
    made = await add_collection(conn, "d1", "d2")
    batch = await batches.insert_batch(conn, "s", made, ["d1", "d2"])
    await conn.execute(change)
    assert [row["document_id"] for row in await conn.fetch("SELECT * FROM collection_document")] == ["d2"]
    row = await batches.find_batch(conn, "s", made, batch)
    assert row is not None
    assert (row.completed, row.in_progress) == (1, 0)


async def test_a_change_of_a_title_or_of_the_owner_within_a_team_keeps_it_in(conn: Conn) -> None:
    await add_people(conn)
    await add_document(conn, "s", "d1", ["panda"])
    await conn.execute("""UPDATE "Document" SET "teamId" = 't' """)
    await add_collection(conn, "d1", team_id="t")
    await conn.execute("""UPDATE "Document" SET "title" = 'x', "userId" = 'x' """)
    assert await conn.fetchval("SELECT count(*) FROM collection_document") == 1


async def test_a_team_takes_its_collections_along_and_leaves_the_documents(conn: Conn) -> None:
    await add_people(conn)
    await add_document(conn, "s", "d1", ["panda"])
    await conn.execute("""UPDATE "Document" SET "teamId" = 't' """)
    await add_collection(conn, "d1", team_id="t")
    await conn.execute('DELETE FROM "Team"')
    assert await conn.fetchval("SELECT count(*) FROM collection") == 0
    assert await conn.fetchval('SELECT "spaceId" FROM "Document"') == "s"


async def test_putting_in_waits_for_a_move_and_finds_nothing(pool: Pool) -> None:
    """The document is gone from the space by the time that it could be put in: no row is left, and no error."""
    async with pool.acquire() as conn, pool.acquire() as other:
        await add_people(conn)
        await add_document(conn, "s", "d1", ["panda"])
        made = await add_collection(conn)
        moving = conn.transaction()
        await moving.start()
        await conn.execute("""UPDATE "Document" SET "teamId" = 't' """)
        new = [NewMember(document_id="d1", attributes=None)]
        putting_in = asyncio.create_task(members.insert_members(other, "s", made, new))
        await until_waiting(conn)
        await moving.commit()
        assert await putting_in == set()
        assert await conn.fetchval("SELECT count(*) FROM collection_document") == 0


async def test_a_document_that_is_to_be_cut_otherwise_by_now_is_not_stored(conn: Conn) -> None:
    """What a worker has cut in the old way stays out, and leaves what is there to the next."""
    await add_people(conn)
    await add_document(conn, "s", "d1", ["panda"])
    assert await chunkings.set_chunking(conn, "s", "d1", Chunking(100, 20))
    assert await conn.fetchval("SELECT status FROM ingestion") == "queued"
    claim = await claim_ingestion(conn, "d1")
    assert claim is not None
    assert claim.chunking == (100, 20)
    # Anew while it is in work: it needs another job. Then the first one comes to its end.
    assert await chunkings.set_chunking(conn, "s", "d1", Chunking(200, 20))
    assert not await clear_document(conn, "s", "d1", claim.chunking)
    assert await conn.fetchval("SELECT count(*) FROM chunk") == 1
    # One that waits has its job, and one that has failed stays so.
    assert not await chunkings.set_chunking(conn, "s", "d1", Chunking(300, 20))
    await conn.execute("UPDATE ingestion SET status = 'failed'")
    assert not await chunkings.set_chunking(conn, "s", "d1", Chunking(100, 20))
    assert await conn.fetchval("SELECT status FROM ingestion") == "failed"
    assert await clear_document(conn, "s", "d1", (100, 20))
    assert await conn.fetchval("SELECT count(*) FROM chunk") == 0


async def test_a_move_takes_out_what_is_being_put_in(pool: Pool) -> None:
    async with pool.acquire() as conn, pool.acquire() as other:
        await add_people(conn)
        await add_document(conn, "s", "d1", ["panda"])
        made = await add_collection(conn)
        putting_in = conn.transaction()
        await putting_in.start()
        await members.insert_members(conn, "s", made, [NewMember(document_id="d1", attributes=None)])
        moving = asyncio.create_task(other.execute("""UPDATE "Document" SET "teamId" = 't' """))
        await until_waiting(conn)
        await putting_in.commit()
        await moving
        assert await conn.fetchval("SELECT count(*) FROM collection_document") == 0
        assert await conn.fetchval("SELECT space_id FROM ingestion") == "t"
