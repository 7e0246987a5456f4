"""Documents that workflows made: which run each came from, and what they call them."""

from db.pool import Conn


async def remember_origin(conn: Conn, document_id: str, execution_id: str) -> None:
    """Write down which run a document came from: its events do not set off the same workflow again."""
    await conn.execute(
        "INSERT INTO workflow_document (document_id, execution_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        document_id,
        execution_id,
    )


async def find_by_external_id(conn: Conn, space_id: str, key: str, external_id: str) -> str | None:
    """Return the space's newest document whose metadata has this value under key."""
    found: str | None = await conn.fetchval(
        """
        SELECT "id" FROM "Document" WHERE "spaceId" = $1 AND "metadata" @> jsonb_build_object($2::text, $3::text)
        ORDER BY "createdAt" DESC, "id" DESC LIMIT 1
        """,
        space_id,
        key,
        external_id,
    )
    return found
