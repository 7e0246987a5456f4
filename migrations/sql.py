"""What revisions and their environment share: how plain SQL runs, and the lock it runs under."""

import asyncpg
from alembic import op

# Any number that nobody else takes for an advisory lock: the first eight letters of docsearch.
MIGRATION_LOCK = 0x646F637365617263


def run(script: str) -> None:
    """Execute a script of any number of statements inside the migration's transaction.

    SQLAlchemy's asyncpg dialect prepares every statement, and a prepared statement can only be one; so the
    script goes to the driver's own connection, which sends a call without arguments by the simple query
    protocol. Errors are asyncpg's own.
    """
    if not script.strip():
        return  # as `docsearch db new` leaves it; the driver stumbles over nothing
    adapted = op.get_bind().connection.dbapi_connection
    if adapted is None:  # pragma: no cover - a revision only runs on the connection env.py opened
        raise RuntimeError("the migration has no connection")

    async def execute(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if not connection.is_in_transaction():
            raise RuntimeError("the migration's transaction is not open: env.py must take its lock first")
        await connection.execute(script)

    adapted.run_async(execute)
