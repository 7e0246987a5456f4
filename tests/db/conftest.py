"""Fixtures for tests of db/ itself."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from db.pool import connect

Raw = Callable[[str], Awaitable[asyncpg.Connection]]


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    """Open connections without our codecs, to any database; they are closed when the test ends."""
    opened: list[asyncpg.Connection] = []

    async def open_connection(dsn: str) -> asyncpg.Connection:
        opened.append(await connect(dsn))
        return opened[-1]

    yield open_connection
    for connection in opened:
        await connection.close()
