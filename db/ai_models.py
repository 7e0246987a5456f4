"""Language models that answers are written with: rows of "AIModel", which belong to nobody and are there for all.

"config" holds what a model is asked with, its key sealed (service/secrets.py); db/sealed.py rotates what it is sealed
with. People may not read it: these functions work for the service.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from db.pool import Conn

Provider = Literal["OPENAI", "GEMINI", "GROQ", "ANTHROPIC", "CUSTOM"]

BUILT_IN = "extractive"
"""The row of the model that needs no provider: a conversation names a row."""

_COLUMNS = """
"id" AS id, "name" AS name, "provider"::text AS provider, "modelId" AS model_id, "config" AS config,
"isActive" AS is_active, "totalRequests" AS total_requests, "totalTokens" AS total_tokens,
"totalCost" AS total_cost, "createdAt" AS created_at, "updatedAt" AS updated_at
"""


class AIModelRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    provider: Provider
    model_id: str
    """The provider's own name for it."""
    config: dict[str, Any]
    is_active: bool
    total_requests: int
    total_tokens: int
    total_cost: float
    """US dollars."""
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        # The configuration may hold a key that the web application wrote in plain.
        return f"AIModelRow(id={self.id!r}, provider={self.provider!r}, model_id={self.model_id!r})"


async def list_models(conn: Conn, *, active_only: bool = False) -> list[AIModelRow]:
    """Return all but the built-in one by name; there are as many as administrators add."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM "AIModel" WHERE "id" <> $2 AND ("isActive" OR NOT $1) ORDER BY "name", "id"
        """,  # noqa: S608 - constant
        active_only,
        BUILT_IN,
    )
    return [_row(row) for row in rows]


async def find_model(conn: Conn, model_id: str, *, lock: bool = False) -> AIModelRow | None:
    """Return a model by its id; locked, it changes for nobody else until the transaction ends."""
    sql = f'SELECT {_COLUMNS} FROM "AIModel" WHERE "id" = $1'  # noqa: S608 - constant
    row = await conn.fetchrow(sql + " FOR UPDATE" if lock else sql, model_id)
    return None if row is None else _row(row)


async def ensure_built_in(conn: Conn) -> None:
    """Make the built-in model's row where it is missing, for a conversation to name."""
    await conn.execute(
        """
        INSERT INTO "AIModel" ("id", "name", "provider", "modelId", "config", "isActive")
        VALUES ($1, 'Extractive', 'CUSTOM', $1, '{}', true) ON CONFLICT DO NOTHING
        """,
        BUILT_IN,
    )


async def find_by_any_name(conn: Conn, wanted: str) -> AIModelRow | None:
    """Return a model by its id, else by its provider's name for it, else by ours; the oldest of several."""
    row = await conn.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM "AIModel" WHERE "id" = $1 OR "modelId" = $1 OR "name" = $1
        ORDER BY "id" = $1 DESC, "modelId" = $1 DESC, "isActive" DESC, "createdAt", "id" LIMIT 1
        """,  # noqa: S608 - constant
        wanted,
    )
    return None if row is None else _row(row)


async def insert_model(
    conn: Conn, *, name: str, provider: Provider, model_id: str, config: Mapping[str, Any], is_active: bool
) -> AIModelRow | None:
    """Return the new model, None where there is one of this provider and name already."""
    row = await conn.fetchrow(
        f"""
        INSERT INTO "AIModel" ("name", "provider", "modelId", "config", "isActive")
        VALUES ($1, $2::text::"AIProvider", $3, $4, $5)
        ON CONFLICT ("provider", "modelId") DO NOTHING
        RETURNING {_COLUMNS}
        """,  # noqa: S608 - constant
        name,
        provider,
        model_id,
        dict(config),
        is_active,
    )
    return None if row is None else _row(row)


async def update_model(
    conn: Conn,
    id_: str,
    *,
    name: str | None = None,
    model_id: str | None = None,
    is_active: bool | None = None,
    config: Mapping[str, Any] | None = None,
    config_without: Sequence[str] = (),
) -> AIModelRow | None:
    """Change what is given; None where there is no such model. Of config only the keys that are given change.

    What others write meanwhile stays: the rotation of keys, and the web application. Raises asyncpg's unique violation,
    which db.tenancy turns into Taken.
    """
    row = await conn.fetchrow(
        f"""
        UPDATE "AIModel"
        SET "name" = COALESCE($2, "name"),
            "modelId" = COALESCE($3, "modelId"),
            "isActive" = COALESCE($4, "isActive"),
            "config" = CASE WHEN jsonb_typeof("config") = 'object' THEN "config" ELSE '{{}}' END - $6::text[]
                       || COALESCE($5::jsonb, '{{}}'),
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = $1
        RETURNING {_COLUMNS}
        """,  # noqa: S608 - constant
        id_,
        name,
        model_id,
        is_active,
        None if config is None else dict(config),
        list(config_without),
    )
    return None if row is None else _row(row)


class ModelInUse(Exception):
    """Conversations were held with the model."""


async def delete_model(conn: Conn, id_: str) -> bool:
    """Return whether there was one. Raises ModelInUse where conversations name it; the transaction is over then."""
    try:
        tag: str = await conn.execute('DELETE FROM "AIModel" WHERE "id" = $1', id_)
    # PostgreSQL 18 has an error of its own for RESTRICT.
    except (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError) as exc:
        raise ModelInUse from exc
    return tag == "DELETE 1"


async def add_totals(conn: Conn, model_id: str, *, requests: int, tokens: int, cost: float) -> None:
    """Count what was asked of a model, in its row and in one statement: exact however many ask at once.

    The web application's columns are 32 bits wide, and stay at the largest number rather than fail an answer.
    """
    await conn.execute(
        """
        UPDATE "AIModel"
        SET "totalRequests" = LEAST("totalRequests"::bigint + $2::bigint, 2147483647),
            "totalTokens" = LEAST("totalTokens"::bigint + $3::bigint, 2147483647),
            "totalCost" = "totalCost" + $4
        WHERE "id" = $1
        """,
        model_id,
        requests,
        tokens,
        cost,
    )


def _row(row: asyncpg.Record) -> AIModelRow:
    fields = dict(row)
    if not isinstance(fields["config"], dict):
        fields["config"] = {}
    return AIModelRow(**fields)
