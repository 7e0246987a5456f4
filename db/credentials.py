"""Secrets of a space that its workflows use by name. What they hold is sealed by the service."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from db.pool import Conn

Kind = Literal["bearer", "basic", "header", "hmac"]


class CredentialRow(msgspec.Struct, frozen=True, kw_only=True):
    """What using one takes."""

    id: str
    kind: Kind
    hosts: list[str]
    sealed: str

    def __repr__(self) -> str:
        return f"CredentialRow(id={self.id!r}, kind={self.kind!r})"


async def find_credential(conn: Conn, space_id: str, name: str) -> CredentialRow | None:
    """Return a credential of a space, and note that it was used; conn is the service's."""
    row = await conn.fetchrow(
        """
        WITH used AS (
            -- At most once a minute, so that a busy one is not a hot row.
            UPDATE credential SET last_used_at = now()
            WHERE space_id = $1 AND name = $2
              AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        )
        SELECT id, kind, hosts, sealed FROM credential WHERE space_id = $1 AND name = $2
        """,
        space_id,
        name,
    )
    return CredentialRow(**row) if row else None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What people see of one: all but the secret."""

    id: str
    user_id: str
    team_id: str | None
    name: str
    kind: Kind
    hosts: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None


_COLUMNS = "id, user_id, team_id, name, kind, hosts, created_at, updated_at, last_used_at"


async def insert_credential(
    conn: Conn, *, user_id: str, team_id: str | None, name: str, kind: Kind, hosts: Sequence[str], sealed: str
) -> Credential:
    """Raises Taken (credential_name_key) where the space has one of this name."""
    row = await conn.fetchrow(
        f"""
        INSERT INTO credential (user_id, team_id, name, kind, hosts, sealed) VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING {_COLUMNS}
        """,  # noqa: S608 - the columns are the constant above
        user_id,
        team_id,
        name,
        kind,
        list(hosts),
        sealed,
    )
    return Credential(**row)  # type: ignore[arg-type]


async def list_credentials(conn: Conn, spaces: Sequence[str]) -> list[Credential]:
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM credential WHERE space_id = ANY($1::text[]) ORDER BY name, id",  # noqa: S608
        list(spaces),
    )
    return [Credential(**row) for row in rows]


async def find_shown(conn: Conn, spaces: Sequence[str], credential_id: str) -> Credential | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM credential WHERE space_id = ANY($1::text[]) AND id = $2",  # noqa: S608
        list(spaces),
        credential_id,
    )
    return Credential(**row) if row else None


async def update_credential(
    conn: Conn,
    spaces: Sequence[str],
    credential_id: str,
    *,
    name: str | None,
    hosts: Sequence[str] | None,
    sealed: str | None,
) -> bool:
    """Change what is given; False where it is not there. Raises Taken, as insert_credential."""
    tag: str = await conn.execute(
        """
        UPDATE credential SET name = COALESCE($3, name), hosts = COALESCE($4, hosts), updated_at = now()
        WHERE space_id = ANY($1::text[]) AND id = $2
        """,
        list(spaces),
        credential_id,
        name,
        None if hosts is None else list(hosts),
    )
    if sealed is not None:
        # By itself: who changes it may not read it, which COALESCE would.
        await conn.execute(
            "UPDATE credential SET sealed = $3 WHERE space_id = ANY($1::text[]) AND id = $2",
            list(spaces),
            credential_id,
            sealed,
        )
    return tag == "UPDATE 1"


async def delete_credential(conn: Conn, spaces: Sequence[str], credential_id: str) -> bool:
    tag: str = await conn.execute(
        "DELETE FROM credential WHERE space_id = ANY($1::text[]) AND id = $2", list(spaces), credential_id
    )
    return tag == "DELETE 1"
