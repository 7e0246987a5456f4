"""Answers whose process died: what it had saved of them becomes their message."""

from datetime import UTC, datetime, timedelta

import structlog

from db import conversations, turns
from db.pool import Pool
from db.tenancy import as_system
from db.turns import TurnRow
from service.conversations.messages import StoredMessage, to_stored, with_answer

log = structlog.get_logger()

TURNS_KEPT = timedelta(days=1)
"""For this long a reader can take up an answer again; afterwards it is in the conversation alone."""

UNSEEN_FOR = timedelta(minutes=2)
"""A process that writes says so twice a second; for this long one may be cut off from the database."""


async def keep_abandoned_answers(pool: Pool) -> None:
    """Keep what dead processes left, and forget the turns of answers that were given long ago."""
    kept = await keep_abandoned(pool)
    async with pool.acquire() as conn:
        pruned = await turns.prune_turns(conn, older_than=TURNS_KEPT)
    if kept or pruned:
        log.info("abandoned_answers_kept", answers=kept, turns_pruned=pruned)


async def keep_abandoned(pool: Pool, *, unseen_for: timedelta = UNSEEN_FOR) -> int:
    """Return how many answers were kept."""
    async with pool.acquire() as conn:
        found = await turns.abandoned_turns(conn, unseen_for=unseen_for)
    for row in found:
        await _keep(pool, row)
    return len(found)


async def _keep(pool: Pool, row: TurnRow) -> None:
    message = StoredMessage(
        id=str(row.id),
        role="assistant",
        content=row.text,
        timestamp=datetime.now(UTC),
        reply_to=str(row.question_id),
        status="interrupted",
        model=row.model_id,
    )
    async with as_system(pool) as conn:
        messages = await conversations.lock_messages(conn, row.conversation_id)
        is_ours = await turns.finish_turn(
            conn, row.id, status="interrupted", message=to_stored(message), error=None
        )
        if messages is not None and is_ours and row.text:
            await conversations.store_answer(
                conn,
                row.conversation_id,
                with_answer(messages, message, replaces=row.replaces),
                tokens=0,
                cost=0.0,
                summary=None,
            )
