"""The role that the service logs in as where the database is its own: neither owner of the tables nor a superuser."""

from db.dsn import with_user
from db.pool import connect
from db.tenancy import APP_ROLE, SERVICE_ROLE

LOGIN_ROLE = "docsearch_server"


async def ensure_login(owner_dsn: str) -> str:
    """Make the login role of an embedded server, and return the connection string with it.

    For servers whose socket lets every local role in, as the embedded one's does: the role has no password. On any
    other server an administrator makes it (docs/operations.md), and DATABASE_URL names it.
    """
    conn = await connect(owner_dsn)
    try:
        await conn.execute(
            f"""
            DO $$ BEGIN
                -- Roles belong to the server: of two databases that start at once, one makes it.
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN_ROLE}') THEN
                    CREATE ROLE {LOGIN_ROLE} LOGIN;
                END IF;
                IF NOT pg_has_role('{LOGIN_ROLE}', '{SERVICE_ROLE}', 'USAGE')
                    OR NOT pg_has_role('{LOGIN_ROLE}', '{APP_ROLE}', 'USAGE') THEN
                    GRANT {APP_ROLE}, {SERVICE_ROLE} TO {LOGIN_ROLE};
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END $$
            """
        )
    finally:
        await conn.close()
    return with_user(owner_dsn, LOGIN_ROLE)
