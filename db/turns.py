"""Answers that are being written, so that they can be read, stopped and kept from any process."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from db.conversations import Owners
from db.pool import Conn

TurnStatus = Literal["running", "complete", "stopped", "interrupted", "failed"]


class TurnRow(msgspec.Struct, frozen=True, kw_only=True):
    """message is the stored one, once the turn is over; text is what there is until then."""

    id: UUID
    conversation_id: str
    question_id: UUID
    user_id: str
    team_id: str | None
    key_id: str | None
    model_id: str
    status: TurnStatus
    retrieval: dict[str, Any] | None
    text: str
    message: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime


_COLUMNS = """
id, conversation_id, question_id, user_id, team_id, key_id, model_id, status, retrieval, text, message, error,
created_at
"""


async def insert_turn(
    conn: Conn,
    *,
    turn_id: UUID,
    conversation_id: str,
    question_id: UUID,
    user_id: str,
    team_id: str | None,
    key_id: str | None,
    model_id: str,
) -> None:
    await conn.execute(
        """
        INSERT INTO conversation_turn (id, conversation_id, question_id, user_id, team_id, key_id, model_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        turn_id,
        conversation_id,
        question_id,
        user_id,
        team_id,
        key_id,
        model_id,
    )


async def find_turn(conn: Conn, owners: Owners, conversation_id: str, turn_id: UUID) -> TurnRow | None:
    """Return an answer of a conversation that the owners may see."""
    row = await conn.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM conversation_turn
        WHERE id = $4 AND conversation_id = $3 AND conversation_id IN (
            SELECT "id" FROM "AIConversation"
            WHERE "id" = $3 AND ("teamId" = ANY($2::text[]) OR "teamId" IS NULL AND "userId" = $1))
        """,  # noqa: S608 - constant
        *owners.arguments,
        conversation_id,
        turn_id,
    )
    return None if row is None else TurnRow(**row)


class Standing(NamedTuple):
    """Whether an answer is to go on, and whether somebody in another process reads it."""

    goes_on: bool
    is_read: bool


async def save_progress(
    conn: Conn, turn_id: UUID, *, text: str, retrieval: Mapping[str, Any] | None
) -> Standing:
    """Write down how far the answer is; it goes on unless somebody has asked for it to stop, or it is gone."""
    row = await conn.fetchrow(
        """
        UPDATE conversation_turn SET text = $2, retrieval = COALESCE($3::jsonb, retrieval), seen_at = now()
        WHERE id = $1 AND status = 'running'
        RETURNING NOT stop_requested AS goes_on, COALESCE(read_at > now() - interval '5 seconds', false) AS is_read
        """,
        turn_id,
        text,
        None if retrieval is None else dict(retrieval),
    )
    return Standing(False, False) if row is None else Standing(row["goes_on"], row["is_read"])


async def mark_read(conn: Conn, turn_id: UUID) -> None:
    await conn.execute("UPDATE conversation_turn SET read_at = now() WHERE id = $1", turn_id)


async def request_stop(conn: Conn, turn_id: UUID) -> None:
    await conn.execute("UPDATE conversation_turn SET stop_requested = true WHERE id = $1", turn_id)


async def finish_turn(
    conn: Conn,
    turn_id: UUID,
    *,
    status: TurnStatus,
    message: Mapping[str, Any] | None,
    error: Mapping[str, Any] | None,
) -> bool:
    """End a turn that is running; False where it is over, or gone with its conversation."""
    tag: str = await conn.execute(
        """
        UPDATE conversation_turn SET status = $2, message = $3, error = $4, seen_at = now()
        WHERE id = $1 AND status = 'running'
        """,
        turn_id,
        status,
        None if message is None else dict(message),
        None if error is None else dict(error),
    )
    return tag == "UPDATE 1"


async def abandoned_turns(conn: Conn, *, unseen_for: timedelta, limit: int = 100) -> list[TurnRow]:
    """Return turns whose process has not been seen for so long: it died."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM conversation_turn
        WHERE status = 'running' AND seen_at < now() - $1::interval ORDER BY seen_at LIMIT $2
        """,  # noqa: S608 - constant
        unseen_for,
        limit,
    )
    return [TurnRow(**row) for row in rows]


async def prune_turns(conn: Conn, *, older_than: timedelta) -> int:
    """Delete turns that are over: their answers are messages by now."""
    tag: str = await conn.execute(
        "DELETE FROM conversation_turn WHERE status <> 'running' AND created_at < now() - $1::interval",
        older_than,
    )
    return int(tag.split()[1])
