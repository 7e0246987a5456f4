"""Upkeep of the search core, run on schedules by whichever worker is free. Each may run twice: it looks first."""

import structlog

from db.idempotency import prune_keys
from db.lexical import compact_term_counts
from db.pool import Pool
from db.vector_index import needs_rebuild, rebuild, status

log = structlog.get_logger()


async def compact_terms(pool: Pool) -> None:
    total = 0
    while True:
        async with pool.acquire() as conn, conn.transaction():
            folded = await compact_term_counts(conn)
        total += folded
        if not folded:
            break
    if total:
        log.info("term_counts_compacted", rows=total)


async def maintain_vector_index(pool: Pool) -> None:
    async with pool.acquire() as conn:
        if not needs_rebuild(await status(conn)):
            return
        log.info("vector_index_rebuilding")
        built = await rebuild(conn)
    if built is not None:
        log.info("vector_index_rebuilt", lists=built.lists, probes=built.probes, recall=built.recall)


async def prune_idempotency_keys(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        pruned = await prune_keys(conn)
    if pruned:
        log.info("idempotency_keys_pruned", rows=pruned)
