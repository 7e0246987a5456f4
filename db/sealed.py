"""Where sealed secrets are kept: read in batches and swapped one by one, for the rotation of the keys behind them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from db.pool import Conn

Place = Literal["webhook_secrets", "previous_webhook_secrets", "model_keys", "credentials"]


class _Sql(NamedTuple):
    select: str
    swap: str


# In this order: once no secret is left under an old key, none can become a previous one under it.
# The swap compares: what somebody else has changed in the meantime stays as they wanted it.
_SQL: Mapping[Place, _Sql] = {
    "webhook_secrets": _Sql(
        'SELECT "id" AS id, "secret" AS value FROM "Webhook"',
        'UPDATE "Webhook" SET "secret" = $3 WHERE "id" = $1 AND "secret" = $2',
    ),
    "previous_webhook_secrets": _Sql(
        'SELECT "id" AS id, "previousSecret" AS value FROM "Webhook" WHERE "previousSecret" IS NOT NULL',
        'UPDATE "Webhook" SET "previousSecret" = $3 WHERE "id" = $1 AND "previousSecret" = $2',
    ),
    "model_keys": _Sql(
        """SELECT "id" AS id, "config" ->> 'apiKey' AS value FROM "AIModel"
        WHERE jsonb_typeof("config" -> 'apiKey') = 'string' AND "config" ->> 'apiKey' <> ''""",
        """UPDATE "AIModel" SET "config" = jsonb_set("config", '{apiKey}', to_jsonb($3::text))
        WHERE "id" = $1 AND "config" ->> 'apiKey' = $2""",
    ),
    "credentials": _Sql(
        "SELECT id, sealed AS value FROM credential",
        "UPDATE credential SET sealed = $3 WHERE id = $1 AND sealed = $2",
    ),
}
PLACES = tuple(_SQL)


class Sealed(NamedTuple):
    id: str
    value: str


async def list_sealed(conn: Conn, place: Place, *, after_id: str, limit: int) -> list[Sealed]:
    """Return up to limit values in the order of their rows' ids."""
    sql = f"SELECT id, value FROM ({_SQL[place].select}) s WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - a constant
    rows = await conn.fetch(sql, after_id, limit)
    return [Sealed(row["id"], row["value"]) for row in rows]


async def find_sealed(conn: Conn, place: Place, row_id: str) -> str | None:
    sql = f"SELECT value FROM ({_SQL[place].select}) s WHERE id = $1"  # noqa: S608 - a constant
    value: str | None = await conn.fetchval(sql, row_id)
    return value


async def swap_sealed(conn: Conn, place: Place, row_id: str, *, old: str, new: str) -> bool:
    """Put new in the place of old; False where something else stands there by now."""
    tag: str = await conn.execute(_SQL[place].swap, row_id, old, new)
    return tag == "UPDATE 1"
