"""Connections: opened in one place, with the codecs that everything in db/ counts on.

In and out: vector, halfvec and sparsevec as pgvector's own types, in binary; json and jsonb as plain Python
values; timestamp without time zone as aware datetimes in UTC, which is what the schema means by it.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy
from pgvector.asyncpg import register_vector

from db.dsn import connect_arguments, describe
from db.errors import DatabaseUnavailable, MissingExtension

if TYPE_CHECKING:
    Conn: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    # asyncpg's classes are generic in its stubs alone, and Litestar evaluates annotations.
    Conn = asyncpg.Connection | PoolConnectionProxy
    Pool = asyncpg.Pool

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
JSONB_VERSION = b"\x01"

# The server is there but will not have us, or is not there, or speaks no TLS.
_UNREACHABLE = (
    OSError,
    TimeoutError,
    ssl.SSLError,
    asyncpg.InterfaceError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalServerError,
    ValueError,
)


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection without our codecs: for migrations and checks, before the schema is there.

    Raises DatabaseUnavailable.
    """
    arguments = connect_arguments(dsn, statement_cache_size=0)
    try:
        return await asyncpg.connect(**arguments)
    except _UNREACHABLE as exc:
        raise _unavailable(dsn, exc) from exc


@asynccontextmanager
async def open_pool(dsn: str, *, size: int, statement_cache_size: int = 1024) -> AsyncIterator[Pool]:
    """Open a pool of at most size connections, the first of them at once.

    Raises DatabaseUnavailable, and MissingExtension on a database that was never migrated.
    """
    arguments = connect_arguments(dsn, statement_cache_size=statement_cache_size)
    try:
        pool = await asyncpg.create_pool(
            **arguments, min_size=1, max_size=size, init=register_codecs, reset=_leave_as_is
        )
    except _UNREACHABLE as exc:
        raise _unavailable(dsn, exc) from exc
    try:
        yield pool
    finally:
        await pool.close()


async def register_codecs(conn: Conn) -> None:
    """Teach a connection our types. Raises MissingExtension where the vector type is absent."""
    # Supabase keeps extensions in a schema of their own.
    schema = await conn.fetchval("""
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'vector'
    """)
    if schema is None:
        raise MissingExtension(
            "vector",
            "The database has no vector extension yet: run `docsearch db migrate`, which creates it.",
        )
    # A connection of a pool is a proxy that does all that a connection does.
    await register_vector(conn, schema=schema)  # type: ignore[arg-type]
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )
    await conn.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=msgspec.json.encode, decoder=msgspec.json.decode
    )
    await conn.set_type_codec(
        "timestamp", schema="pg_catalog", format="tuple", encoder=_encode_timestamp, decoder=_decode_timestamp
    )


async def _leave_as_is(_: Conn) -> None:
    """Skip the reset that asyncpg sends whenever a connection goes back, a round trip each.

    An open transaction and listeners it ends by itself; other session state nothing of ours leaves behind:
    settings are SET LOCAL and advisory locks belong to transactions, as they must behind a pooler anyway.
    """


def _encode_jsonb(value: object) -> bytes:
    return JSONB_VERSION + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> object:
    return msgspec.json.decode(data[1:])


def _encode_timestamp(value: datetime) -> tuple[int]:
    if value.tzinfo is None:
        raise ValueError("a datetime for the database must be aware")
    return ((value - POSTGRES_EPOCH) // MICROSECOND,)


def _decode_timestamp(value: tuple[int]) -> datetime:
    return POSTGRES_EPOCH + timedelta(microseconds=value[0])


def _unavailable(dsn: str, exc: Exception) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The database at {describe(dsn)} does not answer ({_reason(exc)}): "
        "check DATABASE_URL, and that it is running."
    )


def _reason(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    # asyncio puts addresses and numbers into these.
    if isinstance(exc, ConnectionRefusedError) or "Connect call failed" in str(exc):
        return "connection refused"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return next(iter(str(exc).splitlines()), type(exc).__name__).rstrip(".")
