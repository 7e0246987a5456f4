"""Alembic's environment: run by db.migrate, which hands over an open connection.

There is no alembic.ini and the `alembic` command does not work here; `docsearch db` does its work.
"""

from alembic import context
from sqlalchemy import Connection

from migrations.sql import MIGRATION_LOCK

SAFEGUARDS = (
    # Somebody's long transaction must not turn our wait for a table into everybody's wait behind us.
    "SET LOCAL lock_timeout = '10s'",
    # Building an index on an adopted table takes a while; a statement stuck for longer than this is a fault.
    "SET LOCAL statement_timeout = '30min'",
    "SET LOCAL idle_in_transaction_session_timeout = '5min'",
    # ivfflat refuses to build when its sample does not fit: 10,000 vectors of 1536 floats are 62 MB.
    "SET LOCAL maintenance_work_mem = '256MB'",
    # A database default of something else would change what the timestamp defaults mean while we run.
    "SET LOCAL timezone = 'UTC'",
)


def migrate(connection: Connection) -> None:
    """Run all pending revisions in one transaction: a failed migration leaves the schema as it was.

    The lock belongs to the transaction, not the session, so it also holds behind a transaction pooler; and it
    is taken before Alembic reads the current revision, so of two migrators the second finds nothing to do.
    """
    context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
    with context.begin_transaction():
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10min'")  # wait out another migrator
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        for setting in SAFEGUARDS:
            connection.exec_driver_sql(setting)
        context.run_migrations()


if context.is_offline_mode():
    raise RuntimeError("migrations run against a database: use `docsearch db migrate`")
migrate(context.config.attributes["connection"])
