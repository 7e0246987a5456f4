"""Upkeep of the search core, run on schedules by whichever worker is free. Each may run twice: it looks first."""

import structlog

from db import executions
from db.budgets import prune_budgets
from db.callers import prune_rate_limits
from db.deliveries import prune_deliveries
from db.documents import delete_document
from db.errors import NotTheOwner
from db.events import notify_document
from db.files import ExpiredFile, lock_expired
from db.idempotency import prune_keys
from db.invitations import prune_invitations
from db.jobs import enqueue_original_deletions
from db.lexical import compact_term_counts
from db.outbox import emit_document
from db.pool import Conn, Pool, open_pool
from db.received_events import prune_events
from db.tenancy import as_system
from db.usage import UsageEntry, insert_usage
from db.vector_index import needs_rebuild, rebuild, status

log = structlog.get_logger()

# Far longer than the last attempt of a delivery takes to come.
DELIVERIES_KEPT_DAYS = 30
# Documents of one transaction: each takes its chunks along, and locks its owner's counter of bytes until the end.
_EXECUTIONS_AT_ONCE = 500
_EXPIRED_AT_ONCE = 50


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
    """Delete what counts no more: windows of rate limits, invitations, events and counters of past months."""
    async with pool.acquire() as conn, conn.transaction():
        rates = await prune_rate_limits(conn)
        invitations = await prune_invitations(conn)
        events = await prune_events(conn)
        budgets = await prune_budgets(conn)
    if rates or invitations or events or budgets:
        log.info(
            "expired_rows_pruned", rate_limits=rates, invitations=invitations, events=events, budgets=budgets
        )


async def delete_expired_files(pool: Pool) -> None:
    """Delete documents whose time is over as their owners would have; their bytes go by a job of their own."""
    total = 0
    while True:
        async with as_system(pool) as conn:
            expired = await lock_expired(conn, limit=_EXPIRED_AT_ONCE)
            keys = [await _delete_expired(conn, file) for file in expired]
            await enqueue_original_deletions(conn, [key for key in keys if key])
        total += len(expired)
        if not expired:
            break
    if total:
        log.info("expired_files_deleted", documents=total)


async def _delete_expired(conn: Conn, file: ExpiredFile) -> str | None:
    """Delete one and return where its bytes are."""
    await emit_document(conn, file.space_id, "document.deleted", file.document_id, reason="expired")
    deletion = UsageEntry(
        user_id=file.user_id,
        team_id=file.team_id,
        resource="document",
        resource_id=file.document_id,
        action="delete",
        size_bytes=file.size_bytes,
    )
    await insert_usage(conn, [deletion])
    await notify_document(conn, file.document_id)
    return await delete_document(conn, [file.space_id], file.document_id)


async def prune_executions(pool: Pool, days: int) -> None:
    """Delete executions that ended so long ago, with their logs; the workflows' statistics stay."""
    total = 0
    while True:
        async with as_system(pool) as conn:
            pruned = await executions.prune_executions(conn, days=days, limit=_EXECUTIONS_AT_ONCE)
        total += pruned
        if pruned < _EXECUTIONS_AT_ONCE:
            break
    if total:
        log.info("executions_pruned", rows=total)


async def prune_webhook_deliveries(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        pruned = await prune_deliveries(conn, days=DELIVERIES_KEPT_DAYS)
    if pruned:
        log.info("webhook_deliveries_pruned", rows=pruned)
