"""Whether a database can carry the service: server version, extensions, schema."""

import msgspec

from db.errors import MissingExtension, UnsupportedServer
from db.pool import Conn

MINIMUM_SERVER = 150000  # server_version_num of PostgreSQL 15
MINIMUM_VECTOR = (0, 8)  # iterative index scans


class Health(msgspec.Struct, kw_only=True, frozen=True):
    server_version: str
    vector_version: str


async def check_server(conn: Conn) -> Health:
    """Return the versions in use, or to be used by the first migration.

    Raises UnsupportedServer and MissingExtension, each saying what to do.
    """
    row = await conn.fetchrow("""
        SELECT current_setting('server_version_num')::integer AS number,
               current_setting('server_version') AS version,
               (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
               (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
               EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') AS has_trgm
    """)
    if row is None:  # pragma: no cover - a SELECT without FROM has a row
        raise UnsupportedServer("The database does not answer the simplest question.")
    if row["number"] < MINIMUM_SERVER:
        raise UnsupportedServer(
            f"The database is PostgreSQL {row['version']}: docsearch needs version 15 or newer."
        )
    if not row["has_trgm"]:
        raise MissingExtension(
            "pg_trgm",
            "The database server has no pg_trgm: install PostgreSQL's contrib package on the server.",
        )
    return Health(
        server_version=row["version"], vector_version=_check_vector(row["installed"], row["available"])
    )


def _check_vector(installed: str | None, available: str | None) -> str:
    found = installed or available
    if found is None:
        raise MissingExtension(
            "vector",
            "The database server has no pgvector: install it on the server, or use a server that has it "
            "(https://github.com/pgvector/pgvector).",
        )
    if _version(found) >= MINIMUM_VECTOR:
        return found
    if available and _version(available) >= MINIMUM_VECTOR:
        advice = "run `ALTER EXTENSION vector UPDATE` in the database"
    else:
        advice = "install a newer pgvector on the server"
    raise MissingExtension(
        "vector", f"The database has pgvector {found}, and docsearch needs 0.8 or newer: {advice}."
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
