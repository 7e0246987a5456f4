"""Which run a document came from, and which document stands for something outside."""

from db.pool import Conn

EXTERNAL_ID = "external_id"
"""The key of metadata that says what a document is called where it comes from."""


async def record_document(conn: Conn, document_id: str, execution_id: str) -> None:
    """Note that a run has made a document, as the service; a run that is gone made none."""
    await conn.execute(
        """
        INSERT INTO workflow_document (document_id, execution_id)
        SELECT $1, "id" FROM "WorkflowExecution" WHERE "id" = $2
        ON CONFLICT (document_id) DO NOTHING
        """,
        document_id,
        execution_id,
    )


async def list_by_external_id(conn: Conn, space_id: str, external_id: str, *, limit: int) -> list[str]:
    """Return the ids of a space's documents that stand for something outside, newest first."""
    rows = await conn.fetch(
        """
        SELECT "id" AS id FROM "Document"
        -- Containment, which the index on metadata answers.
        WHERE "spaceId" = $1 AND "metadata" @> $2
        ORDER BY "createdAt" DESC, "id" DESC LIMIT $3
        """,
        space_id,
        {EXTERNAL_ID: external_id},
        limit,
    )
    return [row["id"] for row in rows]


async def lock_external_id(conn: Conn, space_id: str, external_id: str) -> None:
    """Let nobody else put a document in the place of another under this id until the transaction ends."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('external_id:' || $1 || ':' || $2, 0))",
        space_id,
        external_id,
    )
