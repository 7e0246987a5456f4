"""The approximate vector index and its upkeep: built when there is enough to train on, measured, replaced.

An ivfflat index sorts vectors into lists around centres that it finds when it is built, and a search looks into
`probes` of them. Trained on nothing it finds nothing, and as the data outgrows it, it finds less and less. So a
rebuild makes a new index beside the old one without locking anybody out, gives it the old one's name, and sets
the probes by how much of the exact answer it then finds. Searches of small scopes compare every vector and need
no index: below MIN_VECTORS one list, an index that merely waits, is the right one.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from pgvector import Vector

from db.errors import NotTheOwner
from db.pool import Conn
from db.retrieval import EMBEDDING_INDEX

NEXT_INDEX = "chunk_embedding_ivfflat_next"
LAST_INDEX = "chunk_embedding_ivfflat_last"

MIN_VECTORS = 10_000
"""Fewer are compared one by one in under 15 ms."""

GROWTH = 2.0
"""Times the vectors it was trained on, after which an index is rebuilt."""

RECALL_FLOOR = 0.95
"""Of the 10 nearest. Probes are set to reach it."""

NEAREST = 10
MAX_SAMPLES = 100
MIN_SAMPLES = 20
COMPARISONS = 100_000_000
"""What the exact answers of all samples together may take: about two minutes."""

_OWNS_TABLE = """
SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = 'chunk_embedding'::regclass
"""
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
    """Build a new index, put it in place and measure it; None where another session is at it.

    Takes a session of its own for minutes: neither a transaction nor a pooler in transaction mode will do.
    Searches and uploads go on meanwhile. Harmless to repeat: what an interrupted one left is removed first.
    Raises NotTheOwner for a role that may use the table but not alter it.
    """
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):
        return None
    try:
        if not await conn.fetchval(_OWNS_TABLE):
            raise NotTheOwner("The vector index can only be built by the owner of its table.")
        await _drop(conn, NEXT_INDEX, LAST_INDEX)
        vectors = await conn.fetchval("SELECT count(*) FROM chunk_embedding")
        lists = choose_lists(vectors)
        await _build(conn, lists)
        async with conn.transaction():
            await _swap(conn)
            # Too many until they are measured: rather slow than incomplete.
            await _record(conn, lists=lists, probes=_safe_probes(lists), vectors=vectors, recall=None)
        await _drop(conn, LAST_INDEX)
        probes, recall = await choose_probes(conn, lists)
        await _record(conn, lists=lists, probes=probes, vectors=vectors, recall=recall)
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)
    return Rebuilt(vectors=vectors, lists=lists, probes=probes, recall=recall)


async def choose_probes(conn: Conn, lists: int) -> tuple[int, float]:
    """Return the fewest probes, of those tried, with which samples reach RECALL_FLOOR, and their recall."""
    samples = await _sample_questions(conn)
    exact = [await _nearest(conn, sample, probes=None) for sample in samples]
    recall = 0.0
    for probes in _ladder(lists):
        recall = await _measure_recall(conn, samples, exact, probes)
        if recall >= RECALL_FLOOR:
            return probes, recall
    return lists, recall


def _ladder(lists: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, ... below lists, then lists, with which the index is exact."""
    steps = sorted({2**power * part // 2 for power in range(1, 20) for part in (2, 3)} | {1})
    return [*(step for step in steps if step < lists), lists]


def _safe_probes(lists: int) -> int:
    return min(lists, 2 * math.ceil(math.sqrt(lists)))


async def _build(conn: Conn, lists: int) -> None:
    # Session-wide, because CREATE INDEX CONCURRENTLY allows no transaction to be local to.
    await conn.execute("SET maintenance_work_mem = '512MB'")
    try:
        await conn.execute(
            f"CREATE INDEX CONCURRENTLY {NEXT_INDEX} ON chunk_embedding "
            f"USING ivfflat (embedding vector_cosine_ops) WITH (lists = {lists})"
        )
    finally:
        await conn.execute("RESET maintenance_work_mem")


async def _swap(conn: Conn) -> None:
    await conn.execute(f"ALTER INDEX IF EXISTS {EMBEDDING_INDEX} RENAME TO {LAST_INDEX}")
    await conn.execute(f"ALTER INDEX {NEXT_INDEX} RENAME TO {EMBEDDING_INDEX}")


async def _drop(conn: Conn, *names: str) -> None:
    for name in names:
        await conn.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


async def _record(conn: Conn, *, lists: int, probes: int, vectors: int, recall: float | None) -> None:
    await conn.execute(
        """
        INSERT INTO vector_index (index_name, lists, probes, rows_built, recall, built_at)
        VALUES ($1, $2, $3, $4, $5, now())
        ON CONFLICT (index_name) DO UPDATE SET lists = excluded.lists, probes = excluded.probes,
            rows_built = excluded.rows_built, recall = excluded.recall, built_at = excluded.built_at
        """,
        EMBEDDING_INDEX,
        lists,
        probes,
        vectors,
        recall,
    )


class _Sample(msgspec.Struct, frozen=True):
    """What to search with; made_of are the stored vectors that it lies between."""

    model: str
    embedding: Vector
    made_of: frozenset[UUID]


async def _sample_questions(conn: Conn) -> list[_Sample]:
    """Return points halfway between two stored vectors of a model: as far from texts as questions are.

    Stored vectors themselves lie close to the centres and flatter the index: the 2 probes of 17 that found .97
    of their neighbours found .83 of real questions'; the 6 that these samples ask for found .99, .99 and .95 in
    three collections (measured).
    """
    vectors = await conn.fetchval("SELECT count(*) FROM chunk_embedding")
    wanted = max(MIN_SAMPLES, min(MAX_SAMPLES, COMPARISONS // max(1, vectors)))
    # Pages are sampled, a page holds one vector; some more than wanted, because chance may bring fewer.
    percent = min(100.0, 100.0 * 3 * wanted / max(1, vectors))
    rows = await conn.fetch(
        """
        WITH drawn AS (
            SELECT model, chunk_id, embedding, row_number() OVER (PARTITION BY model ORDER BY random()) AS n
            FROM chunk_embedding TABLESAMPLE SYSTEM ($1)
        )
        SELECT one.model, one.embedding + other.embedding AS embedding,
               ARRAY[one.chunk_id, other.chunk_id] AS made_of
        FROM drawn AS one JOIN drawn AS other ON other.model = one.model AND other.n = one.n + 1
        WHERE one.n % 2 = 1 AND vector_norm(one.embedding + other.embedding) > 0
        LIMIT $2
        """,
        percent,
        wanted,
    )
    return [_Sample(row["model"], row["embedding"], frozenset(row["made_of"])) for row in rows]


async def _measure_recall(
    conn: Conn, samples: Sequence[_Sample], exact: Sequence[set[UUID]], probes: int
) -> float:
    """Return the share of the exact nearest that the index finds with so many probes; 1 for no samples."""
    found = [await _nearest(conn, sample, probes=probes) for sample in samples]
    total = sum(len(nearest) for nearest in exact)
    return sum(len(a & b) for a, b in zip(found, exact, strict=True)) / total if total else 1.0


async def _nearest(conn: Conn, sample: _Sample, *, probes: int | None) -> set[UUID]:
    """Return the sample's nearest neighbours of its model; by comparing all where probes is None.

    What it was made of does not count: any index finds it, and would look better than it is.
    """
    async with conn.transaction():
        await conn.execute(
            """
            SELECT set_config('enable_sort', $1, true), set_config('enable_seqscan', $1, true),
                   set_config('enable_bitmapscan', $1, true), set_config('ivfflat.probes', $2, true),
                   set_config('ivfflat.iterative_scan', 'off', true)
            """,
            "on" if probes is None else "off",
            str(probes or 1),
        )
        rows = await conn.fetch(
            """
            SELECT chunk_id FROM chunk_embedding WHERE model = $1
            ORDER BY (embedding <=> $2) + 0 LIMIT $3
            """
            if probes is None
            else """
            SELECT chunk_id FROM chunk_embedding WHERE model = $1
            ORDER BY embedding <=> $2 LIMIT $3
            """,
            sample.model,
            sample.embedding,
            NEAREST + len(sample.made_of),
        )
    return {row["chunk_id"] for row in rows} - sample.made_of
