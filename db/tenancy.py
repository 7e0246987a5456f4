"""For whom a transaction works: the one place where roles and claims are set, for migrations 0007's policies to go by.

        as_caller(pool, subject)   a tenant's transaction: role docsearch_app, bound by the policies
            as_service(conn)       within it: what the service does on its own account, role docsearch_service
        pool.acquire()             the service itself: authentication, search, jobs, with the scope in the SQL

Settings are local to the transaction, so that nothing leaks through a pooler to the next one.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from db.errors import translated
from db.pool import Conn, Pool

APP_ROLE = "docsearch_app"
SERVICE_ROLE = "docsearch_service"


@asynccontextmanager
async def as_caller(pool: Pool, subject: str) -> AsyncIterator[Conn]:
    """Open a transaction that sees and changes what one person may; subject is their "clerkId".

    Raises PlanLimitReached and LastOwner, at the statement or at the commit, where the database refuses.
    """
    with translated():
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(
                "SELECT set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
                APP_ROLE,
                _claims(subject),
            )
            yield conn


@asynccontextmanager
async def as_service(conn: Conn) -> AsyncIterator[Conn]:
    """Act for the service within a caller's transaction: audit, notify somebody else, enqueue, emit an event.

    The claims stay; only the role changes. An error ends the transaction, so the way back needs no care.
    """
    await conn.execute(f"SET LOCAL ROLE {SERVICE_ROLE}")
    yield conn
    await conn.execute(f"SET LOCAL ROLE {APP_ROLE}")


@asynccontextmanager
async def as_system(pool: Pool) -> AsyncIterator[Conn]:
    """Open a transaction for what is no tenant's: events from outside, what administrators and operators do."""
    with translated():
        async with pool.acquire() as conn, conn.transaction():
            yield conn


def _claims(subject: str) -> str:
    return msgspec.json.encode({"sub": subject, "role": "authenticated"}).decode()
