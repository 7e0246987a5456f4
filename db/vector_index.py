"""The approximate vector index and its upkeep: built when there is enough to train on, measured, replaced.

An ivfflat index sorts vectors into lists around centres that it finds when it is built, and looks into `probes`
of them. Trained on nothing it finds nothing, and when the data outgrows it, it finds less and less. So a rebuild
makes a new index beside the old one without locking anybody out, measures how much of the exact answer it finds,
takes as many probes as it needs, and only then takes the old one's name. Searches of small scopes compare every
vector and need no index: below MIN_VECTORS one list, which is an index that waits, is the right one.
"""

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from db.pool import Conn
from db.retrieval import EMBEDDING_INDEX

NEXT_INDEX = "chunk_embedding_ivfflat_next"

MIN_VECTORS = 10_000
"""Fewer are compared one by one in under 15 ms."""

GROWTH = 2.0
"""Times the vectors it was trained on, after which an index is rebuilt."""

RECALL_FLOOR = 0.95
"""Of the 10 nearest. Probes are set to reach it."""

SAMPLES = 100
NEAREST = 10

_LOCK_KEY = 0x1F_F1A7
"""Advisory: two maintenance jobs do not build at once."""


class IndexStatus(msgspec.Struct, frozen=True, kw_only=True):
    """probes, rows_built, recall and built_at are of the last rebuild, None before the first."""

    vectors: int
    lists: int | None
    probes: int | None
    rows_built: int | None
    recall: float | None
    built_at: datetime | None
    size_bytes: int


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    vectors: int
    lists: int
    probes: int
    recall: float


async def status(conn: Conn) -> IndexStatus:
    """Count the vectors and tell what the index was built from; lists is None where there is no index."""
    row = await conn.fetchrow(
        r"""
        SELECT (SELECT count(*) FROM chunk_embedding) AS vectors,
               v.probes, v.rows_built, v.recall, v.built_at,
               COALESCE(pg_relation_size(c.oid), 0) AS size_bytes,
               (SELECT substring(option FROM 'lists=(\d+)')::integer FROM unnest(c.reloptions) AS option
                WHERE option LIKE 'lists=%') AS lists
        FROM (SELECT to_regclass($1) AS oid) AS named
        LEFT JOIN pg_class AS c ON c.oid = named.oid
        LEFT JOIN vector_index AS v ON v.index_name = $1
        """,
        EMBEDDING_INDEX,
    )
    if row is None:
        raise AssertionError("a row of constants is there")
    return IndexStatus(**row)


def needs_rebuild(index: IndexStatus) -> bool:
    """Tell whether the index is missing, was trained on less than half of what it holds, or finds too little."""
    if index.vectors < MIN_VECTORS:
        return index.lists is None
    if index.lists is None or index.rows_built is None or index.recall is None:
        return True
    shrunk = index.rows_built > GROWTH * index.vectors
    return index.vectors > GROWTH * index.rows_built or shrunk or index.recall < RECALL_FLOOR


def choose_lists(vectors: int) -> int:
    """Return rows / 1000 up to a million rows, the square root above, as pgvector advises; 1 for too few."""
    if vectors < MIN_VECTORS:
        return 1
    return round(vectors / 1000) if vectors <= 1_000_000 else round(math.sqrt(vectors))


async def rebuild(conn: Conn) -> Rebuilt | None:
    """Build, measure and put in place a new index; None where another session is at it.

    Takes a connection of its own, outside a transaction and not behind a transaction-mode pooler, for minutes.
    Searches and uploads go on; the names are swapped in an instant. Harmless to repeat: what an interrupted
    build left is removed first.
    """
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):
        return None
    try:
        vectors = await conn.fetchval("SELECT count(*) FROM chunk_embedding")
        lists = choose_lists(vectors)
        await conn.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NEXT_INDEX}")
        await conn.execute(
            f"CREATE INDEX CONCURRENTLY {NEXT_INDEX} ON chunk_embedding "
            f"USING ivfflat (embedding vector_cosine_ops) WITH (lists = {lists})"
        )
        await _swap(conn)
        probes, recall = await _choose_probes(conn, lists)
        await _record(conn, lists, probes, vectors, recall)
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)
    return Rebuilt(vectors=vectors, lists=lists, probes=probes, recall=recall)
