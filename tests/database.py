"""One PostgreSQL for a test run, however many processes the run has, and a fresh database for each test.

The first process that needs it starts it and migrates a template; each process holds a shared lock while it
uses it, and whoever finds itself alone at the end stops it. The kernel keeps count, so a killed process
counts itself out; what a killed run left behind, the next run removes.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

import asyncpg

from db import migrate
from db.dsn import connect_arguments, with_database
from db.embedded import EmbeddedPostgres, running_dsn

T = TypeVar("T")

PREFIX = "docsearch-tests-"
TEMPLATE = "migrated"
# Nothing here outlives the run, so nothing needs to survive a power cut.
TUNING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "jit": "off",
}


SETTLED_S = 60.0
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 * 1024**3


class TestServer:
    """The run's server, seen from one process."""

    __test__ = False

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        # A thread of its own, so that fixtures work for tests with and without a running loop.
        self._thread = threading.Thread(target=self._loop.run_forever, name="test databases", daemon=True)
        self._thread.start()
        self._admin = self._await(asyncpg.connect(**connect_arguments(with_database(dsn, "postgres"))))
        self._numbers = count(1)

    def dsn(self, database: str) -> str:
        return with_database(self._dsn, database)

    def create(self, template: str = TEMPLATE) -> str:
        """Create a database like the template and return its connection string."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._await(self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
        return self.dsn(name)

    def create_named(self, name: str) -> str:
        """Create an empty database of this name, or take the one that is there; it goes with the server."""
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            self._await(self._admin.execute(f'CREATE DATABASE "{name}"'))
        return self.dsn(name)

    def drop(self, dsn: str) -> None:
        name = dsn.split("?", 1)[0].rsplit("/", 1)[1]
        self._await(self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def ensure_template(self) -> None:
        """Migrate the template where no other process has; called under the run's lock."""
        found = self._await(self._admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", TEMPLATE))
        if not found:
            self._await(self._admin.execute("CREATE DATABASE making"))
            self._await(migrate.upgrade(self.dsn("making")))
            self._await(self._admin.execute(f"ALTER DATABASE making RENAME TO {TEMPLATE}"))

    def close(self) -> None:
        self._await(self._admin.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)


@contextlib.contextmanager
def shared_server(run: str) -> Iterator[TestServer]:
    """Use the server of a run: started by the first process that does, and stopped by the last."""
    folder = _place() / f"{PREFIX}{os.getuid()}-{run}"
    _remove_leftovers(keep=folder)
    with _take_turn(folder) as turn, (folder / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        postgres = EmbeddedPostgres(folder, tuning=TUNING)
        server = TestServer(running_dsn(folder) or postgres.start())
        server.ensure_template()
        fcntl.flock(turn, fcntl.LOCK_UN)
        try:
            yield server
        finally:
            server.close()
            fcntl.flock(turn, fcntl.LOCK_EX)
            if _alone(users):
                postgres.stop("immediate")
                shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Return memory where there is enough, or else the disk: a database is 350 files, which take a disk up to 0.4 s."""
    try:
        memory = os.statvfs(MEMORY)
    except FileNotFoundError:
        return Path(tempfile.gettempdir())
    roomy = memory.f_bavail * memory.f_frsize >= ROOM_BYTES and os.access(MEMORY, os.W_OK)
    return MEMORY if roomy else Path(tempfile.gettempdir())


def _take_turn(folder: Path) -> IO[str]:
    """Return the open lock file of a run's folder, locked: starting and stopping are one process's at a time."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            turn = (folder / "turn").open("a")
            fcntl.flock(turn, fcntl.LOCK_EX)
            if os.fstat(turn.fileno()).st_nlink:
                return turn
            turn.close()  # the last user removed the folder while we waited


def _alone(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_leftovers(keep: Path) -> None:
    for folder in _place().glob(f"{PREFIX}{os.getuid()}-*"):
        # Another process may be sweeping too.
        with contextlib.suppress(FileNotFoundError):
            # One that is just being made has not taken its locks yet.
            if folder == keep or time.time() - folder.stat().st_mtime < SETTLED_S:
                continue
            with (folder / "users").open("a") as users:
                if _alone(users):
                    EmbeddedPostgres(folder).stop("immediate")
                    shutil.rmtree(folder, ignore_errors=True)
