"""What can go wrong between us and the database. Each message is one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

import asyncpg
import msgspec


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


class NotTheOwner(DatabaseError):
    """The database role may use the tables but not alter them."""


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


class Refused(Exception):
    """The database refused a change for a reason that the person who asked can do something about."""


class PlanFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What migration 0006 puts into the detail of its error; resets_at is null where waiting does not help."""

    resource: str
    tier: str
    used: int
    limit: int
    resets_at: datetime | None


class PlanLimitReached(Refused):
    """The plan of an owner allows no more of something; the whole transaction is undone."""

    def __init__(self, facts: PlanFacts) -> None:
        super().__init__(
            f"The {facts.tier} plan allows no more {facts.resource}: {facts.used:,} of {facts.limit:,} are used."
        )
        self.facts = facts


class BudgetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that stops something: a person's ('user'), a team's, a key's or a plan's. Amounts are US dollars."""

    kind: str
    subject_id: str
    limit: float
    spent: float
    reserved: float
    """For what is under way."""
    resets_at: datetime


class BudgetReached(Refused):
    """What is asked for would pass a budget; nothing was set aside for it."""

    def __init__(self, facts: BudgetFacts) -> None:
        super().__init__(f"The monthly budget of the {facts.kind} does not suffice.")
        self.facts = facts


class ExecutionsLimited(Refused):
    """A tenant runs, or has started, as many workflows as it may at a time; nothing was started."""

    def __init__(self, kind: Literal["concurrent", "per_minute"], limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"{limit:,} workflows run at a time, and no more may."
            if kind == "concurrent"
            else f"{limit:,} workflows may be started in a minute, and so many were."
        )
        self.kind = kind
        self.limit = limit
        self.retry_after_s = retry_after_s


class LastOwner(Refused):
    """A team with members would be left without an owner."""

    def __init__(self) -> None:
        super().__init__("A team needs an owner: make another member one first.")


class Taken(Refused):
    """A name that may exist only once is another's already; constraint says which."""

    def __init__(self, constraint: str) -> None:
        super().__init__(f"{constraint} is taken.")
        self.constraint = constraint


PLAN_LIMIT = "DS402"
"""The SQLSTATE that migration 0006 raises, with PlanFacts as JSON in its detail."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn a refusal of the database that has a name into ours; what has none passes as the driver raised it."""
    try:
        yield
    except asyncpg.PostgresError as exc:
        refusal = _refusal(exc)
        if refusal is None:
            raise
        raise refusal from exc


def _refusal(exc: asyncpg.PostgresError) -> Refused | None:
    if exc.sqlstate == PLAN_LIMIT:
        return PlanLimitReached(msgspec.json.decode(exc.detail or "", type=PlanFacts))
    if isinstance(exc, asyncpg.CheckViolationError) and exc.constraint_name == "team_has_owner":
        return LastOwner()
    if isinstance(exc, asyncpg.UniqueViolationError):
        return Taken(exc.constraint_name or "")
    return None
