"""Versions of workflows: what their nodes and connections were."""

from db.pool import Conn


async def ensure_version(conn: Conn, workflow_id: str, changelog: str | None = None) -> int | None:
    """Return the number of the newest version, made now where nodes or connections are not what it says.

    The web application changes workflows without one. Holds the workflow's row; returns None where it is gone.
    """
    locked = await conn.fetchval('SELECT true FROM "Workflow" WHERE "id" = $1 FOR NO KEY UPDATE', workflow_id)
    if not locked:
        return None
    # A statement of its own: it sees the version of whoever the lock had to wait for.
    number: int = await conn.fetchval(
        """
        WITH newest AS (
            SELECT v."version", v."nodes", v."connections" FROM "WorkflowVersion" v
            WHERE v."workflowId" = $1 ORDER BY v."version" DESC LIMIT 1
        ),
        added AS (
            INSERT INTO "WorkflowVersion" ("workflowId", "version", "nodes", "connections", "changelog")
            SELECT w."id", COALESCE((SELECT "version" FROM newest), 0) + 1, w."nodes", w."connections", $2
            FROM "Workflow" w
            WHERE w."id" = $1 AND NOT EXISTS (
                SELECT FROM newest n WHERE n."nodes" = w."nodes" AND n."connections" = w."connections")
            RETURNING "version"
        )
        SELECT COALESCE((SELECT "version" FROM added), (SELECT "version" FROM newest))
        """,
        workflow_id,
        changelog,
    )
    return number
