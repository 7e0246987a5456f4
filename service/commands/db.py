"""`docsearch db`: the schema of the database, as npm and Prisma do it for the web application."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.output import CommandFailed, print_json, say

if TYPE_CHECKING:
    from db.migrate import Revision
    from db.seed import Seeded
    from service.settings import Settings

HELP = """Set up the database, change its schema, fill it with samples, empty it.

\b
It works on DATABASE_URL, else on the embedded database in DOCSEARCH_HOME, which
is started for the length of the command where `docsearch serve` is not running.

\b
Coming from the web application's npm commands:
  npx prisma migrate dev --name NAME   docsearch db new NAME, write its SQL,
                                       then docsearch db migrate
  npm run db:migrate                   docsearch db migrate
  npm run db:migrate:deploy            docsearch db migrate
  npm run db:seed                      docsearch db seed
  npm run db:reset                     docsearch db reset --yes
  npx prisma migrate status            docsearch db status
  npm run db:generate                  nothing: there is no client to generate

A database that Prisma made is completed, not replaced: what is missing is added, and no row is touched.
"""

# Words in a database's name that say it is not for development. Hosted services call theirs "postgres".
NOT_FOR_DEVELOPMENT = frozenset(
    {"prod", "production", "prd", "live", "main", "master", "primary", "staging", "stage", "postgres"}
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)


@app.command()
def migrate(json: JsonOption = False) -> None:
    """Bring the schema up to date.

    \b
    What npm run db:migrate and db:migrate:deploy do for the web application.
    All pending revisions are applied in one transaction: it works or changes
    nothing, and running it again does nothing. Two at once take turns.

    \b
    Example:
      DATABASE_URL=postgresql://me@db.example.com/app docsearch db migrate
    """
    from db import migrate as migrations

    with _database() as dsn:
        before = asyncio.run(migrations.status(dsn))
        after = asyncio.run(migrations.upgrade(dsn))
    applied = before.pending[: len(before.pending) - len(after.pending)]
    if json:
        print_json({"database": after.database, "current": after.current, "applied": _revisions(applied)})
        return
    for revision in applied:
        say(f"applied {revision.id}  {revision.title}")
    say(f"The schema of {after.database} is at revision {after.current}, the newest.")


@app.command()
def new(
    message: Annotated[str, typer.Argument(help='What it changes, for example "add document language".')],
) -> None:
    """Write the file of a new, empty revision.

    \b
    Where npx prisma migrate dev --name NAME works the change out from models,
    here you write it: the file has a place for the SQL that makes the change
    and one for the SQL that takes it back. Then run: docsearch db migrate

    \b
    Example:
      docsearch db new "add document language"
    """
    from db import migrate as migrations

    with _explained():
        say(str(migrations.new(message)))


@app.command()
def status(json: JsonOption = False) -> None:
    """Show where the schema stands and what is pending.

    \b
    Example:
      docsearch db status --json
    """
    import msgspec

    from db import migrate as migrations

    settings = _settings()
    if settings.embedded and not (settings.home / "pg").exists():
        found = migrations.Status(
            database="docsearch", current=None, head=migrations.head(), pending=migrations.pending(None)
        )
    else:
        with _database(settings) as dsn:
            found = asyncio.run(migrations.status(dsn))
    if json:
        print_json(msgspec.to_builtins(found))
        return
    say(f"database  {found.database}")
    say(f"revision  {found.current or 'none yet'}")
    say(f"newest    {found.head}")
    for revision in found.pending:
        say(f"pending   {revision.id}  {revision.title}")
    if found.pending:
        say("Apply what is pending with: docsearch db migrate")


@app.command()
def reset(
    database: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the database that DATABASE_URL leads to, to show you mean it."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete everything.")] = False,
) -> None:
    """Empty a development database.

    \b
    What npm run db:reset does: docsearch's tables are dropped, made anew and
    given the samples. It takes the embedded database while `docsearch serve` is
    stopped; with DATABASE_URL set, it takes the database only if --database
    repeats its name, and never one whose name says production, live, main,
    staging or postgres. Tables that were there before docsearch came stay.

    \b
    Examples:
      docsearch db reset --yes
      DATABASE_URL=postgresql://localhost/app_dev docsearch db reset --database app_dev --yes
    """
    from db import migrate as migrations
    from db.embedded import HomeLock, running

    settings = _settings()
    if settings.database_url is not None:
        with _explained():
            connected = asyncio.run(migrations.status(settings.database_url)).database
        _refuse_unless_development(connected, database)
    if not yes:
        raise CommandFailed(
            "This deletes every document, user and key in the database: add --yes if you mean it."
        )
    with _explained():
        if settings.database_url is not None:
            seeded = asyncio.run(_reset(settings.database_url))
        else:
            with HomeLock(settings.home), running(settings.home) as dsn:
                seeded = asyncio.run(_reset(dsn))
    say(f"The database is empty again, at revision {migrations.head()}, with {seeded.models} sample models.")


@app.command()
def seed(json: JsonOption = False) -> None:
    """Add the sample AI models and templates.

    \b
    What npm run db:seed does, and more templates. Models that are there already
    stay as they are, templates are brought up to this version: running it again
    changes nothing.

    \b
    Example:
      docsearch db seed
    """
    import msgspec

    with _database() as dsn:
        seeded = asyncio.run(_seed(dsn))
    if json:
        print_json(msgspec.to_builtins(seeded))
    else:
        say(
            f"Added {seeded.models} AI models and {seeded.templates} templates, "
            f"and brought {seeded.templates_updated} templates up to date."
        )


def _settings() -> "Settings":
    from service.settings import load_settings

    return load_settings()


@contextmanager
def _database(settings: "Settings | None" = None) -> Iterator[str]:
    from db.embedded import database_dsn

    chosen = settings or _settings()
    with _explained(), database_dsn(chosen.database_url, chosen.home) as dsn:
        yield dsn


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what can go wrong with a database into the sentence that its user reads."""
    from db.errors import DatabaseError

    try:
        yield
    except DatabaseError as exc:
        raise CommandFailed(str(exc)) from exc


async def _seed(dsn: str) -> "Seeded":
    from db.migrate import require_head
    from db.pool import open_pool
    from db.seed import seed as add_samples
    from service.templates.seeds import seeded_templates

    async with open_pool(dsn, size=1, statement_cache_size=0) as pool, pool.acquire() as conn:
        await require_head(conn)
        async with conn.transaction():
            return await add_samples(conn, seeded_templates())


async def _reset(dsn: str) -> "Seeded":
    from db.migrate import reset as rebuild

    await rebuild(dsn)
    return await _seed(dsn)


def _refuse_unless_development(name: str, named: str | None) -> None:
    if named is None:
        raise CommandFailed(
            f"DATABASE_URL is set: add --database {name} to say that its database may be deleted."
        )
    if named != name:
        raise CommandFailed(
            f"DATABASE_URL leads to the database {name}, not to {named}: nothing was deleted."
        )
    if NOT_FOR_DEVELOPMENT & set(_words(name)):
        raise CommandFailed(f"The name {name} does not say development: reset will not touch this database.")


def _words(name: str) -> list[str]:
    return "".join(character if character.isalpha() else " " for character in name.lower()).split()


def _revisions(revisions: "list[Revision]") -> list[dict[str, str]]:
    return [{"id": revision.id, "title": revision.title} for revision in revisions]
