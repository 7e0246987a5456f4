"""Migrations: what `docsearch db` does, for programs.

Alembic runs the revisions of the migrations package, found through the package itself so that an installed
wheel has them too; each revision's body is plain SQL.
"""

import asyncio
import io
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg
import msgspec
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import migrations
from db.errors import MigrationFailed, NotMigrated
from db.health import check_server
from db.pool import Conn, connect

T = TypeVar("T")

_ALEMBIC = threading.Lock()


class Revision(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    title: str


class Status(msgspec.Struct, kw_only=True, frozen=True):
    """current is None for a database without our schema; pending is in the order it would be applied."""

    database: str
    current: str | None
    head: str
    pending: list[Revision]


async def upgrade(dsn: str, revision: str = "head") -> Status:
    """Bring the schema to a revision, in one transaction; nothing happens where it is already there.

    Raises DatabaseUnavailable, UnsupportedServer, MissingExtension, MigrationFailed.
    """
    await _check(dsn)
    await _run(dsn, lambda connection: command.upgrade(_config(connection), revision))
    return await status(dsn)


async def downgrade(dsn: str, revision: str) -> Status:
    """Take the schema back to a revision ("base": to before the first); what goes takes its rows along.

    Tables that were there before the first migration stay, with every row. Raises as upgrade does.
    """
    await _run(dsn, lambda connection: command.downgrade(_config(connection), revision))
    return await status(dsn)


async def reset(dsn: str) -> Status:
    """Take our schema down and build it anew, empty. The caller has made sure that this is wanted."""
    await downgrade(dsn, "base")
    return await upgrade(dsn)


async def status(dsn: str) -> Status:
    """Return where the schema stands. Raises DatabaseUnavailable."""
    database, current = await _run(dsn, _standing)
    return Status(database=database, current=current, head=head(), pending=pending(current))


async def require_head(conn: Conn) -> None:
    """Raise NotMigrated unless the schema is the one this version works with."""
    current = None
    if await conn.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
        current = await conn.fetchval("SELECT version_num FROM alembic_version")
    if current != head():
        raise NotMigrated(current, head())


@cache
def head() -> str:
    """Return the newest revision that this version carries."""
    newest = _script().get_current_head()
    if newest is None:
        raise MigrationFailed("This installation carries no migrations: install it again.")
    return newest


def pending(current: str | None) -> list[Revision]:
    """Return the revisions that lie after one (None: all), in the order they would be applied."""
    revisions = list(_script().walk_revisions(base=current or "base", head="heads"))
    return [
        Revision(id=step.revision, title=(step.doc or "").rstrip("."))
        for step in reversed(revisions)
        if step.revision != current
    ]


def new(message: str) -> Path:
    """Write the file of an empty revision after the newest, for its SQL to be filled in; return its path.

    Raises MigrationFailed where the package's folder cannot be written.
    """
    number = f"{int(head()) + 1:04d}"
    head.cache_clear()
    try:
        made = command.revision(_config(), message=message, rev_id=number)
    except (CommandError, OSError) as exc:
        raise MigrationFailed(f"The revision cannot be written: {exc}.") from exc
    if made is None or isinstance(made, list):  # pragma: no cover - one head makes one file
        raise MigrationFailed("The revision was not written.")
    return Path(made.path)


def _standing(connection: Connection) -> tuple[str, str | None]:
    database: str = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    return database, MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None = None) -> Config:
    # Alembic reports on standard output, which belongs to whoever called us.
    config = Config(stdout=io.StringIO(), cmd_opts=Namespace(quiet=True))
    folder = str(Path(migrations.__path__[0]))
    config.set_main_option("script_location", folder.replace("%", "%%"))  # the parser interpolates
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


async def _check(dsn: str) -> None:
    conn = await connect(dsn)
    try:
        await check_server(conn)
    finally:
        await conn.close()


@asynccontextmanager
async def _alembic_to_ourselves() -> AsyncIterator[None]:
    # Between processes the database's lock decides; within one, Alembic's context is a global that a second
    # migration would overwrite. Threads and loops may differ, so it is polled, and only when contended.
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 - an asyncio lock belongs to one loop
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        _ALEMBIC.release()


async def _run(dsn: str, step: Callable[[Connection], T]) -> T:
    """Run a synchronous step of Alembic's on a connection of its own."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=NullPool,
        connect_args={
            # asyncpg reads the DSN, not SQLAlchemy: one understanding of it everywhere.
            "async_creator_fn": lambda **_: connect(dsn),
            # Behind a transaction pooler a prepared statement may meet another session's of the same name.
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__docsearch_{uuid4()}__",
        },
    )
    try:
        async with _alembic_to_ourselves(), engine.connect() as connection:
            return await connection.run_sync(step)
    except CommandError as exc:
        raise MigrationFailed(_sentence(exc)) from exc
    except (asyncpg.PostgresError, DBAPIError) as exc:
        raise MigrationFailed(_sentence(getattr(exc, "orig", exc))) from exc
    finally:
        await engine.dispose()


def _sentence(exc: BaseException) -> str:
    reason = str(exc).strip().splitlines()[0].rstrip(".")
    if "Can't locate revision" in reason:
        return "The database was migrated by a newer version of docsearch: install that one, or a newer one."
    if isinstance(exc, asyncpg.LockNotAvailableError):
        return "The migration gave up waiting for a lock somebody else holds, and changed nothing: try again."
    if isinstance(exc, asyncpg.InsufficientPrivilegeError):
        return f"The database user may not migrate ({reason}): use the database's owner; nothing was changed."
    return f"The migration failed and changed nothing: {reason}."
