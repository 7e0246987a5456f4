"""A migrated database for one command: DATABASE_URL's, or the home's, started for as long as it is needed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from db import migrate
from db.embedded import database_dsn, running_dsn
from db.pool import connect
from service.settings import Settings


@contextmanager
def open_database(settings: Settings) -> Iterator[str]:
    """Give the connection string. Raises DatabaseError.

    A database of our own making is migrated on the way; one that others use must be at the newest revision
    already. Not asynchronous, so that Ctrl-C cannot come between starting PostgreSQL and stopping it.
    """
    shared = settings.database_url is not None or running_dsn(settings.home) is not None
    with database_dsn(settings.database_url, settings.home) as dsn:
        asyncio.run(_require_head(dsn) if shared else _migrate(dsn))
        yield dsn


async def _migrate(dsn: str) -> None:
    await migrate.upgrade(dsn)


async def _require_head(dsn: str) -> None:
    conn = await connect(dsn)
    try:
        await migrate.require_head(conn)
    finally:
        await conn.close()
