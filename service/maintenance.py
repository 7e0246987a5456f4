"""Upkeep of the search core, run on schedules by whichever worker is free. Each may run twice: it looks first."""

import structlog

from db.callers import prune_rate_limits
from db.deliveries import prune_deliveries
from db.errors import NotTheOwner
from db.idempotency import prune_keys
from db.invitations import prune_invitations
from db.lexical import compact_term_counts
from db.pool import Pool, open_pool
from db.received_events import prune_events
from db.vector_index import needs_rebuild, rebuild, status

log = structlog.get_logger()

# Far longer than the last attempt of a delivery takes to come.
DELIVERIES_KEPT_DAYS = 30


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


async def maintain_vector_index(pool: Pool, owner_url: str) -> None:
    async with pool.acquire() as conn:
        if not needs_rebuild(await status(conn)):
            return
    log.info("vector_index_rebuilding")
    # An index is made by the owner of its table and by nobody else.
    async with open_pool(owner_url, size=1, statement_cache_size=0) as owner, owner.acquire() as conn:
        try:
            built = await rebuild(conn)
        except NotTheOwner:
            log.warning(
                "vector_index_needs_owner", hint="set MIGRATION_DATABASE_URL, or run docsearch index rebuild"
            )
            return
    if built is not None:
        log.info("vector_index_rebuilt", lists=built.lists, probes=built.probes, recall=built.recall)


async def prune_idempotency_keys(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        pruned = await prune_keys(conn)
    if pruned:
        log.info("idempotency_keys_pruned", rows=pruned)


async def prune_expired(pool: Pool) -> None:
    """Delete what counts no more: windows of rate limits, invitations, remembered events of a month ago."""
    async with pool.acquire() as conn, conn.transaction():
        rates = await prune_rate_limits(conn)
        invitations = await prune_invitations(conn)
        events = await prune_events(conn)
    if rates or invitations or events:
        log.info("expired_rows_pruned", rate_limits=rates, invitations=invitations, events=events)


async def prune_webhook_deliveries(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        pruned = await prune_deliveries(conn, days=DELIVERIES_KEPT_DAYS)
    if pruned:
        log.info("webhook_deliveries_pruned", rows=pruned)
