"""Meeting at a lock: a test goes on when the others have come as far as they get."""

import asyncio
from typing import Any

from db.pool import Conn


async def until_waiting(conn: Conn, count: int = 1, *, unless: "asyncio.Future[Any] | None" = None) -> None:
    """Return when so many connections to conn's database wait for a lock; `unless` must not end before.

    conn may be in a transaction, the one that holds the lock for example. In one, PostgreSQL shows the connections as
    they were at the first look, and those that were opened since not at all: so each look begins with forgetting.
    """
    while True:
        await conn.execute("SELECT pg_stat_clear_snapshot()")
        waiting = await conn.fetchval("""
            SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE NOT granted AND datname = current_database()
        """)
        if waiting >= count:
            return
        assert unless is None or not unless.done(), "it did not wait"
        await asyncio.sleep(0.01)
