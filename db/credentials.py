"""Secrets that nodes of workflows use by name; sealed by service/secrets.py."""

import msgspec

from db.pool import Conn


class CredentialRow(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is used. hosts is where it may be sent; empty: anywhere."""

    kind: str
    hosts: list[str]
    sealed: str

    def __repr__(self) -> str:
        return f"CredentialRow(kind={self.kind!r}, hosts={self.hosts!r})"


async def find_credential(conn: Conn, space_id: str, name: str) -> CredentialRow | None:
    """Return the credential of a space that has this name, as the service."""
    row = await conn.fetchrow(
        "SELECT kind, hosts, sealed FROM credential WHERE space_id = $1 AND name = $2", space_id, name
    )
    return None if row is None else CredentialRow(**row)
