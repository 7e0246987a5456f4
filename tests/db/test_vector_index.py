"""The upkeep of the approximate index: when it is due, what it builds, what it leaves behind."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from db import vector_index
from db.pool import Conn, Pool
from db.retrieval import EMBEDDING_INDEX
from db.vector_index import IndexStatus, choose_lists, choose_probes, needs_rebuild, rebuild, status
from tests.search.rows import add_document, unit


def index(**changed: Any) -> IndexStatus:
    fields: dict[str, Any] = {
        "vectors": 30_000,
        "lists": 30,
        "probes": 5,
        "rows_built": 25_000,
        "recall": 0.97,
        "built_at": datetime(2026, 1, 1, tzinfo=UTC),
        "size_bytes": 1,
    }
    return IndexStatus(**(fields | changed))


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({}, False),
        ({"vectors": 50_001}, True),
        ({"rows_built": 60_001}, True),
        ({"recall": 0.9}, True),
        ({"recall": None, "rows_built": None, "probes": None, "lists": 1}, True),
        ({"lists": None}, True),
        ({"vectors": 9_999, "lists": 1, "rows_built": None, "recall": None}, False),
        ({"vectors": 0, "lists": None}, True),
    ],
)
def test_an_index_is_due_when_it_no_longer_fits(changed: dict[str, Any], due: bool) -> None:
    assert needs_rebuild(index(**changed)) is due


def test_lists_follow_the_rows() -> None:
    sizes = (0, 9_999, 10_000, 33_709, 1_000_000, 4_000_000)
    assert [choose_lists(size) for size in sizes] == [1, 1, 10, 34, 1000, 2000]


async def fill(conn: Conn, chunks: int) -> None:
    """Store chunks whose vectors lie around a few centres, as those of texts do."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(20, 64))
    points = centres[random.integers(20, size=chunks)] + 0.6 * random.normal(size=(chunks, 64))
    await add_document(conn, "s", "d", ["t"] * chunks, vectors=[unit(*point) for point in points])


async def ivfflat_names(conn: Conn) -> list[str]:
    names = await conn.fetch(
        """
        SELECT indexname FROM pg_indexes
        WHERE tablename = 'chunk_embedding' AND indexdef LIKE '%ivfflat%' ORDER BY indexname
        """
    )
    return [row["indexname"] for row in names]


async def test_a_rebuild_measures_what_it_built(conn: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "MIN_VECTORS", 1000)
    await fill(conn, 3000)
    before = await status(conn)
    assert (before.vectors, before.lists, before.recall) == (3000, 1, None)
    assert needs_rebuild(before)
    built = await rebuild(conn)
    assert built is not None
    after = await status(conn)
    assert not needs_rebuild(after)
    assert (after.vectors, after.lists, after.rows_built) == (3000, 3, 3000)
    assert after.probes == built.probes
    assert after.recall == pytest.approx(built.recall)
    assert built.recall >= vector_index.RECALL_FLOOR
    assert after.size_bytes > 0
    assert await ivfflat_names(conn) == [EMBEDDING_INDEX]
    own = "SELECT setting = reset_val FROM pg_settings WHERE name = 'maintenance_work_mem'"
    assert await conn.fetchval(own)


async def test_more_probes_find_more_and_all_lists_find_all(
    conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "MIN_VECTORS", 100)
    monkeypatch.setattr(vector_index, "choose_lists", lambda _vectors: 40)
    await fill(conn, 1000)
    await rebuild(conn)
    reached = []
    for floor in (0.2, 0.95, 1.0):
        monkeypatch.setattr(vector_index, "RECALL_FLOOR", floor)
        reached.append(await choose_probes(conn, 40))
    assert [probes for probes, _ in reached] == sorted(probes for probes, _ in reached)
    assert reached[0][0] < reached[2][0]
    assert all(recall >= floor for (_, recall), floor in zip(reached, (0.2, 0.95, 1.0), strict=True))


async def test_two_rebuilds_at_once_are_one(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        await fill(one, 200)
        built = await asyncio.gather(rebuild(one), rebuild(other))
        assert sum(result is not None for result in built) >= 1
        assert await ivfflat_names(one) == [EMBEDDING_INDEX]


async def test_while_another_session_builds_nothing_is_touched(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        await one.execute("SELECT pg_advisory_lock($1)", vector_index._LOCK_KEY)
        try:
            assert await rebuild(other) is None
        finally:
            await one.execute("SELECT pg_advisory_unlock($1)", vector_index._LOCK_KEY)
        assert await rebuild(other) is not None


@pytest.mark.parametrize("left", [vector_index.NEXT_INDEX, vector_index.LAST_INDEX])
async def test_what_an_interrupted_build_left_is_cleared(conn: Conn, left: str) -> None:
    await fill(conn, 50)
    await conn.execute(
        f"CREATE INDEX {left} ON chunk_embedding USING ivfflat (embedding vector_cosine_ops) WITH (lists = 1)"
    )
    await rebuild(conn)
    assert await ivfflat_names(conn) == [EMBEDDING_INDEX]


async def test_a_lost_index_is_made_again(conn: Conn) -> None:
    await conn.execute(f"DROP INDEX {EMBEDDING_INDEX}")
    assert (await status(conn)).lists is None
    await rebuild(conn)
    assert (await status(conn)).lists == 1
