"""What can go wrong between us and the database. Each message is one sentence that says what to do."""

from pathlib import Path


class DatabaseError(Exception):
    """The database cannot be used as it is; the message is for the person who runs the service."""


class DatabaseUnavailable(DatabaseError):
    """Nothing answers at the address, or it refuses us."""


class UnsupportedServer(DatabaseError):
    """The server is older than what the schema needs."""


class MissingExtension(DatabaseError):
    """An extension is absent, or too old."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class NotMigrated(DatabaseError):
    """The schema is not the one this version works with."""

    def __init__(self, current: str | None, head: str) -> None:
        have = f"at revision {current}" if current else "not set up"
        super().__init__(
            f"The database is {have}, and this version needs revision {head}: run `docsearch db migrate`."
        )
        self.current = current
        self.head = head


class MigrationFailed(DatabaseError):
    """A migration did not go through; nothing was changed."""


class NotADevelopmentDatabase(DatabaseError):
    """A destructive command was pointed at a database that was not named as expendable."""


class EmbeddedDatabaseError(DatabaseError):
    """The embedded PostgreSQL could not be set up, started or stopped."""


class HomeLocked(EmbeddedDatabaseError):
    """Another process serves from the same home folder."""

    def __init__(self, home: Path, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{home} is in use by {owner}: stop it first, or choose another folder with DOCSEARCH_HOME."
        )
        self.pid = pid
