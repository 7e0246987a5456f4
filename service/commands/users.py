"""`docsearch users`: add, list and remove people, in the database itself; for those without an identity provider."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.commands.output import CommandFailed, one_line, print_json, say, stderr_console, stdout_console

if TYPE_CHECKING:
    from db.accounts import Account
    from db.pool import Conn
    from service.accounts.deletion import Erased
    from service.settings import Settings

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Add, list and remove people.

    Works on the database itself: DATABASE_URL, or the embedded one in DOCSEARCH_HOME, whether a server runs or not.
    Where OIDC_ISSUER is configured, people come by themselves, at their first sign-in.
    """,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("add")
def add(
    email: Annotated[
        str, typer.Argument(metavar="EMAIL", help="Their e-mail address; invitations go by it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Add a person and print a key of theirs, this once: it may all that they may.

    \b
    Examples:
      docsearch users add ann@example.com
      docsearch users add ann@example.com --json | jq -r .key

    \b
    Environment:
      DATABASE_URL    the database [the embedded one in DOCSEARCH_HOME]
      DOCSEARCH_HOME  folder of the embedded database and the secret [.docsearch]
      SECRET_KEY      the server's secret that keys are hashed with [DOCSEARCH_HOME/secret.key]
    """
    from service.auth.identity import read_email
    from service.auth.keys import hash_key, mint_key
    from service.commands.keys import warn_of_local_secret
    from service.settings import load_settings

    address = read_email(email)
    if address is None:
        raise typer.BadParameter(f"{email!r} is not an e-mail address", param_hint="EMAIL")
    settings = load_settings()
    warn_of_local_secret(settings)
    key = mint_key()
    hashed = hash_key(settings.signing_secret(), key)
    user_id = _run(settings, lambda conn: _add(conn, address, key, hashed, settings.new_tier))
    if as_json:
        print_json({"id": user_id, "email": address, "key": key})
        return
    say(key)
    stderr_console().print(
        f"Give it to {address}, it is not shown again. It may all that they may; "
        "they make narrower ones over HTTP, and you with `docsearch keys create --user`.",
        soft_wrap=True,
    )


@app.command("list")
def list_people(as_json: AsJson = False) -> None:
    """List everybody who has an account, those who came last first.

    \b
    Examples:
      docsearch users list
      docsearch users list --json
    """
    from rich.table import Table

    from db.accounts import list_accounts
    from service.settings import load_settings

    people = _run(load_settings(), list_accounts)
    if as_json:
        print_json({"data": [_to_json(person) for person in people]})
        return
    table = Table()
    for column in ("id", "e-mail", "name", "since", "last sign-in"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for person in people:
        names = " ".join(name for name in (person.first_name, person.last_name) if name)
        table.add_row(
            person.id,
            one_line(person.address or "–"),
            one_line(names or "–"),
            _day(person.created_at),
            _day(person.last_login_at),
        )
    stdout_console().print(table)


@app.command("remove")
def remove(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Their e-mail address, or their id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a person with everything that is theirs, for good; what is a team's goes to an owner of the team.

    A team whose last owner they are goes to its longest-standing admin, else member, else viewer; a team that they are
    alone in goes with them. Original files are deleted by the next worker.

    \b
    Example:
      docsearch users remove ann@example.com
    """
    from service.settings import load_settings

    if not yes:
        typer.confirm(f"Remove {email} and everything that is theirs, for good?", abort=True, err=True)
    erased = _run(load_settings(), lambda conn: _remove(conn, email))
    if as_json:
        print_json(
            {"deleted": erased.deleted, "handed_over": erased.handed_over, "anonymised": erased.anonymised}
        )
        return
    say(
        f"Removed {one_line(email)}: {_counts(erased.deleted)} deleted; {_counts(erased.handed_over)} handed over."
    )


async def _add(conn: "Conn", email: str, key: str, key_hash: str, tier: str) -> str:
    from db.api_keys import insert_api_key
    from db.users import create_user, find_user_by_email
    from service.audit import audit_system
    from service.auth.keys import display_prefix
    from service.joining import accept_invitations

    if await find_user_by_email(conn, email) is not None:
        raise CommandFailed(
            f"{email} has an account already; `docsearch keys create --user {email}` makes a key."
        )
    user = await create_user(conn, email=email, tier=tier)
    await insert_api_key(
        conn,
        user_id=user.id,
        name="first key",
        key_hash=key_hash,
        prefix=display_prefix(key),
        scopes=["admin"],
    )
    await audit_system(conn, "operator", "user.created", "user", user.id)
    await accept_invitations(conn, user.id)
    return user.id


async def _remove(conn: "Conn", email: str) -> "Erased":
    from functools import partial

    from db.accounts import find_account
    from db.users import find_user_by_email
    from service.accounts.deletion import LastOwnership, erase
    from service.audit import audit_system

    found = await find_user_by_email(conn, email.lower()) or await find_user_by_email(conn, email)
    person = found or await find_account(conn, email)
    erased = None
    if person is not None:
        erased = await erase(conn, person.id, LastOwnership.PASS_ON, partial(audit_system, conn, "operator"))
    if erased is None:
        raise CommandFailed(
            f"There is nobody with the e-mail address or id {email!r}; see `docsearch users list`."
        )
    return erased


def _run(settings: "Settings", work: "Callable[[Conn], Awaitable[T]]") -> T:
    """Run work in a transaction of its own."""
    from db.pool import open_pool
    from db.tenancy import as_system
    from service.commands.database import open_database

    async def run(dsn: str) -> T:
        async with (
            open_pool(dsn, size=1, statement_cache_size=settings.database_statement_cache_size) as pool,
            as_system(pool) as conn,
        ):
            return await work(conn)

    with open_database(settings) as dsn:
        return asyncio.run(run(dsn))


def _to_json(person: "Account") -> dict[str, Any]:
    return {
        "id": person.id,
        "email": person.address,
        "email_verified": person.email_verified,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "username": person.username,
        "created_at": _timestamp(person.created_at),
        "last_login_at": _timestamp(person.last_login_at),
    }


def _counts(rows: dict[str, int]) -> str:
    return (
        ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in rows.items() if count) or "nothing"
    )


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d}"
