"""Conversations: rows of "AIConversation", their messages as the platform's schema has them, and who may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from db.pool import Conn

# One definition of whose conversations one may see; the same as the policies say.
_WHOSE = '("teamId" = ANY($2::text[]) OR "teamId" IS NULL AND "userId" = $1)'
_COLUMNS = """
"id" AS id, "userId" AS user_id, "teamId" AS team_id, "modelId" AS model_id, "title" AS title, "settings" AS settings,
"summary" AS summary, "tokensUsed" AS tokens_used, "cost" AS cost, cardinality("messages") AS message_count,
"createdAt" AS created_at, "updatedAt" AS updated_at
"""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose conversations: a person's own, and these teams'."""

    user_id: str
    team_ids: Sequence[str]

    @property
    def arguments(self) -> tuple[str, list[str]]:
        """The values of $1 and $2."""
        return self.user_id, list(self.team_ids)


class ConversationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    team_id: str | None
    model_id: str
    title: str | None
    settings: dict[str, Any] | None
    summary: dict[str, Any] | None
    tokens_used: int
    cost: float
    message_count: int
    created_at: datetime
    updated_at: datetime


class Cursor(NamedTuple):
    """The last row of a page: lists go by the last change, newest first, ties by id."""

    updated_at: datetime
    id: str


async def insert_conversation(
    conn: Conn,
    *,
    user_id: str,
    team_id: str | None,
    model_id: str,
    title: str | None,
    settings: Mapping[str, Any] | None,
) -> ConversationRow:
    row = await conn.fetchrow(
        f"""
        INSERT INTO "AIConversation" ("userId", "teamId", "modelId", "title", "settings")
        VALUES ($1, $2, $3, $4, $5) RETURNING {_COLUMNS}
        """,  # noqa: S608 - constant
        user_id,
        team_id,
        model_id,
        title,
        None if settings is None else dict(settings),
    )
    if row is None:
        raise AssertionError("an insert returns its row")
    return ConversationRow(**row)


async def find_conversation(conn: Conn, owners: Owners, conversation_id: str) -> ConversationRow | None:
    row = await conn.fetchrow(
        f'SELECT {_COLUMNS} FROM "AIConversation" WHERE {_WHOSE} AND "id" = $3',  # noqa: S608 - constants
        *owners.arguments,
        conversation_id,
    )
    return None if row is None else ConversationRow(**row)


async def list_conversations(
    conn: Conn, owners: Owners, *, limit: int, after: Cursor | None, query: str | None
) -> list[ConversationRow]:
    """Return up to limit, the last changed first; query: only those that say so in their title or a message."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM "AIConversation"
        WHERE {_WHOSE}
          AND ($3::timestamptz IS NULL OR ("updatedAt", "id") < ($3::timestamptz AT TIME ZONE 'UTC', $4::text))
          AND ($5::text IS NULL OR strpos(lower(COALESCE("title", '')), lower($5)) > 0 OR EXISTS (
              SELECT FROM unnest("messages") AS message WHERE strpos(lower(message ->> 'content'), lower($5)) > 0))
        ORDER BY "updatedAt" DESC, "id" DESC LIMIT $6
        """,  # noqa: S608 - constants
        *owners.arguments,
        after.updated_at if after else None,
        after.id if after else None,
        query,
        limit,
    )
    return [ConversationRow(**row) for row in rows]


async def read_messages(conn: Conn, owners: Owners, conversation_id: str) -> list[dict[str, Any]] | None:
    """Return every message in its order, None where the conversation is not there."""
    messages: list[Any] | None = await conn.fetchval(
        f'SELECT "messages" FROM "AIConversation" WHERE {_WHOSE} AND "id" = $3',  # noqa: S608 - constants
        *owners.arguments,
        conversation_id,
    )
    return None if messages is None else [message for message in messages if isinstance(message, dict)]


async def update_conversation(
    conn: Conn,
    owners: Owners,
    conversation_id: str,
    *,
    title: str | None = None,
    set_title: bool = False,
    model_id: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ConversationRow | None:
    """Change what is given; None where the conversation is not there."""
    row = await conn.fetchrow(
        f"""
        UPDATE "AIConversation"
        SET "title" = CASE WHEN $4 THEN $5 ELSE "title" END,
            "modelId" = COALESCE($6, "modelId"),
            "settings" = COALESCE($7::jsonb, "settings"),
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE {_WHOSE} AND "id" = $3 RETURNING {_COLUMNS}
        """,  # noqa: S608 - constants
        *owners.arguments,
        conversation_id,
        set_title,
        title,
        model_id,
        None if settings is None else dict(settings),
    )
    return None if row is None else ConversationRow(**row)


async def delete_conversation(conn: Conn, owners: Owners, conversation_id: str) -> bool:
    tag: str = await conn.execute(
        f'DELETE FROM "AIConversation" WHERE {_WHOSE} AND "id" = $3',  # noqa: S608 - constants
        *owners.arguments,
        conversation_id,
    )
    return tag == "DELETE 1"


async def append_question(
    conn: Conn, owners: Owners, conversation_id: str, message: Mapping[str, Any], *, title: str
) -> bool:
    """Add a message at the end, and the title where there is none; False where the conversation is not there.

    One statement that reads and writes the row under its lock: of two at once neither is lost.
    """
    tag: str = await conn.execute(
        f"""
        UPDATE "AIConversation"
        SET "messages" = array_append("messages", $4::jsonb), "title" = COALESCE("title", $5),
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE {_WHOSE} AND "id" = $3
        """,  # noqa: S608 - constants
        *owners.arguments,
        conversation_id,
        dict(message),
        title,
    )
    return tag == "UPDATE 1"


async def lock_messages(conn: Conn, conversation_id: str) -> list[Any] | None:
    """Return the messages and hold the conversation until the transaction ends; for the service."""
    messages: list[Any] | None = await conn.fetchval(
        'SELECT "messages" FROM "AIConversation" WHERE "id" = $1 FOR UPDATE', conversation_id
    )
    return messages


async def store_answer(
    conn: Conn,
    conversation_id: str,
    messages: Sequence[Any],
    *,
    tokens: int,
    cost: float,
    summary: Mapping[str, Any] | None,
) -> None:
    """Write the messages with the new answer among them, and add what it took; for the service, under the lock."""
    await conn.execute(
        """
        UPDATE "AIConversation"
        SET "messages" = $2::jsonb[], "tokensUsed" = LEAST("tokensUsed"::bigint + $3::bigint, 2147483647),
            "cost" = "cost" + $4, "summary" = COALESCE($5::jsonb, "summary"),
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = $1
        """,
        conversation_id,
        list(messages),
        tokens,
        cost,
        None if summary is None else dict(summary),
    )
