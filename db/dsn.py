"""Connection strings: what asyncpg needs to know from one, and what may be shown of it."""

from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from db.errors import DatabaseUnavailable

# Parameters that Prisma, libpq or a host's dashboard put into a URL and PostgreSQL itself does not know:
# asyncpg would send them to the server as settings, and be refused.
CLIENT_ONLY = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "connection_limit",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "max_idle_connection_lifetime",
        "pgbouncer",
        "pool_timeout",
        "schema",
        "socket_timeout",
        "sslaccept",
        "sslidentity",
        "statement_cache_size",
        "tcp_user_timeout",
        "uselibpqcompat",
    }
)


def connect_arguments(dsn: str, *, statement_cache_size: int = 1024) -> dict[str, Any]:
    """Return the arguments for asyncpg's connect and create_pool.

    Takes postgres:// and postgresql://, unix sockets as ?host=/folder, sslmode and its kin, and Prisma's own
    parameters: pgbouncer=true turns prepared statements off, schema becomes the search path.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError as exc:
        raise DatabaseUnavailable(f"DATABASE_URL cannot be read: {exc}.") from exc
    if parts.scheme not in {"postgres", "postgresql"}:
        raise DatabaseUnavailable(
            "DATABASE_URL must look like postgresql://user:password@host:5432/database."
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    arguments: dict[str, Any] = {
        "dsn": urlunsplit(parts._replace(query=_driver_query(query), fragment="")),
        "statement_cache_size": 0 if query.get("pgbouncer") == "true" else statement_cache_size,
        "timeout": float(query.get("connect_timeout") or 10),
        # Timestamps without a zone are UTC by the schema's convention, and so must be the session's now().
        "server_settings": {"timezone": "UTC", **_server_settings(query)},
    }
    return arguments


def database_name(dsn: str) -> str:
    """Return the name of the database a connection string names."""
    return unquote(urlsplit(dsn).path.removeprefix("/"))


def with_database(dsn: str, name: str) -> str:
    """Return the connection string of another database on the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{quote(name)}"))


def with_user(dsn: str, user: str) -> str:
    """Return the connection string of another role, without a password, on the same server and database."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}@{host}"))


def describe(dsn: str) -> str:
    """Return where a connection string leads, without user and password."""
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query))
    host = parts.hostname or query.get("host", "localhost")
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}/{database_name(dsn)}"


def socket_dsn(socket_dir: str, *, user: str, database: str) -> str:
    """Return the connection string of a server that listens on a unix socket in socket_dir."""
    query = urlencode({"host": socket_dir, "port": 5432}, quote_via=quote)
    return f"postgresql://{quote(user)}@/{quote(database)}?{query}"


def _driver_query(query: dict[str, str]) -> str:
    kept = {name: value for name, value in query.items() if name not in CLIENT_ONLY and value}
    return urlencode(kept, quote_via=quote)


def _server_settings(query: dict[str, str]) -> dict[str, str]:
    settings = {"application_name": query.get("application_name") or "docsearch"}
    schema = query.get("schema")
    if schema and schema != "public":
        settings["search_path"] = f'"{schema}", public'
    return settings
