"""Telling a database that went away from a mistake of ours."""

import asyncpg

_LOST = (
    ConnectionError,
    TimeoutError,
    FileNotFoundError,  # a unix socket whose server has stopped
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)


def is_outage(exc: BaseException) -> bool:
    """Return True where exc, raised around a query, says that the database is not to be had just now."""
    if isinstance(exc, _LOST):
        return True
    return isinstance(exc, asyncpg.InterfaceError) and "clos" in str(exc)
