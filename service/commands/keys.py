"""`docsearch keys`: make, list and revoke API keys, in the database itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.commands.encryption import rotate_encryption
from service.commands.output import CommandFailed, one_line, print_json, say, stderr_console, stdout_console

if TYPE_CHECKING:
    from db.api_keys import ApiKey
    from db.pool import Conn
    from service.settings import Settings

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Make, list and revoke API keys.

    Works on the database itself: DATABASE_URL, or the embedded one in DOCSEARCH_HOME, whether a server runs or not.
    Keys belong to the local owner unless --user names somebody else.
    """,
)

_DEFAULT_SCOPES = ("documents:read", "documents:write", "search")

app.command("rotate-encryption")(rotate_encryption)

User = Annotated[
    str | None, typer.Option("--user", metavar="EMAIL", help="Whose keys, instead of the local owner's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the key is for; shown in lists.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may: documents:read, search, teams:write, … or admin for all. Repeat for more. "
            "[default: documents:read, documents:write, search]",
        ),
    ] = None,
    expires_days: Annotated[
        int | None,
        typer.Option(
            "--expires-days", metavar="N", min=1, max=36_500, help="Days until it expires. [default: never]"
        ),
    ] = None,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once: only a hash of it is kept.

    \b
    Examples:
      docsearch keys create --name laptop
      docsearch keys create --name website --scope search --expires-days 90
      export DOCSEARCH_API_KEY=$(docsearch keys create --name ci --json | jq -r .key)

    \b
    Environment:
      DATABASE_URL    the database [the embedded one in DOCSEARCH_HOME]
      DOCSEARCH_HOME  folder of the embedded database and the secret [.docsearch]
      SECRET_KEY      the server's secret that keys are hashed with [DOCSEARCH_HOME/secret.key]
    """
    from db.api_keys import insert_api_key
    from service.auth.keys import display_prefix, hash_key, mint_key
    from service.settings import load_settings

    if not name.strip():
        raise typer.BadParameter("the name is empty", param_hint="--name")
    allowed = _check_scopes(scopes)
    settings = load_settings()
    warn_of_local_secret(settings)
    key = mint_key()
    hashed = hash_key(settings.signing_secret(), key)
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)

    async def insert(conn: "Conn", user_id: str) -> "ApiKey":
        return await insert_api_key(
            conn,
            user_id=user_id,
            name=name.strip(),
            key_hash=hashed,
            prefix=display_prefix(key),
            scopes=allowed,
            expires_at=expires_at,
        )

    made = _for_user(settings, user, insert)
    if as_json:
        print_json({"key": key} | _to_json(made))
        return
    say(key)
    until = f" until {_day(expires_at)}" if expires_at else ""
    stderr_console().print(
        f"Keep it now, it is not shown again. {one_line(made.name)} ({made.id}) may {', '.join(allowed)}{until}.",
        soft_wrap=True,
    )


@app.command("new-encryption-key")
def new_encryption_key() -> None:
    """Print a new key for ENCRYPTION_KEY; nothing is changed or kept.

    \b
    Example:
      docsearch keys new-encryption-key
    """
    from cryptography.fernet import Fernet

    say(Fernet.generate_key().decode())


@app.command("list")
def list_keys(user: User = None, as_json: AsJson = False) -> None:
    """List the keys, newest first: never the keys themselves.

    \b
    Examples:
      docsearch keys list
      docsearch keys list --user ann@example.com --json
    """
    from rich.table import Table

    from db.api_keys import list_api_keys
    from service.settings import load_settings

    keys = _for_user(load_settings(), user, list_api_keys)
    if as_json:
        print_json({"data": [_to_json(key) for key in keys]})
        return
    table = Table()
    for column in ("id", "name", "scopes", "created", "last used", "expires", "status"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for key in keys:
        table.add_row(
            key.id,
            one_line(key.name),
            ", ".join(key.scopes),
            _day(key.created_at),
            _day(key.last_used_at),
            _day(key.expires_at),
            _status(key),
        )
    stdout_console().print(table)


@app.command("revoke")
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="The key's id, as `docsearch keys list` shows it.")
    ],
    user: User = None,
) -> None:
    """Revoke a key for good: the next request with it is refused.

    \b
    Example:
      docsearch keys revoke 0d3f7c1e-5a57-4f39-9d3c-9d5e6f0a1b2c
    """
    from db.api_keys import revoke_api_key
    from service.settings import load_settings

    async def revoke_it(conn: "Conn", user_id: str) -> bool:
        return await revoke_api_key(conn, user_id=user_id, key_id=key_id)

    if not _for_user(load_settings(), user, revoke_it):
        raise CommandFailed(
            f"There is no active key {key_id!r}; `docsearch keys list` shows those there are."
        )
    say(f"Revoked {key_id}.")


def _for_user(settings: "Settings", email: str | None, work: "Callable[[Conn, str], Awaitable[T]]") -> T:
    """Run work in a transaction with the id of the user of that email, or of the local owner."""
    from db.pool import open_pool
    from service.commands.database import open_database

    async def run(dsn: str) -> T:
        async with (
            open_pool(dsn, size=1, statement_cache_size=settings.database_statement_cache_size) as pool,
            pool.acquire() as conn,
            conn.transaction(),
        ):
            return await work(conn, await _user_id(conn, email))

    with open_database(settings) as dsn:
        return asyncio.run(run(dsn))


async def _user_id(conn: "Conn", email: str | None) -> str:
    from db.users import ensure_local_owner, find_user_by_email

    if email is None:
        return (await ensure_local_owner(conn)).id
    user = await find_user_by_email(conn, email)
    if user is None:
        raise CommandFailed(f"There is no user with the email address {email!r}.")
    return user.id


def _check_scopes(scopes: list[str] | None) -> list[str]:
    from service.auth.access import SCOPES

    unknown = sorted(set(scopes or []) - SCOPES.keys())
    if unknown:
        known = ", ".join(sorted(SCOPES))
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {known}", param_hint="--scope")
    return sorted(set(scopes or _DEFAULT_SCOPES))


def warn_of_local_secret(settings: "Settings") -> None:
    if not settings.embedded and settings.secret_key is None:
        stderr_console().print(
            f"SECRET_KEY is not set: the key is hashed with {settings.home / 'secret.key'}, and works only with "
            "servers that use the same secret.",
            soft_wrap=True,
        )


def _to_json(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "status": _status(key),
        "created_at": _timestamp(key.created_at),
        "last_used_at": _timestamp(key.last_used_at),
        "expires_at": _timestamp(key.expires_at),
    }


def _status(key: "ApiKey") -> str:
    if not key.is_active:
        return "revoked"
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return "expired" if expired else "active"


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d}"
