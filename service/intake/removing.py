"""Deleting a document: from search at once, its bytes for good."""

from db import documents
from db.documents import DocumentRow
from db.events import notify_document
from db.outbox import emit_document
from db.pool import Pool
from db.tenancy import as_caller, as_service
from db.usage import UsageEntry, insert_usage
from ingest.originals import Originals
from service.audit import audit
from service.auth.caller import Caller
from service.errors import not_found


async def remove_document(pool: Pool, originals: Originals, caller: Caller, row: DocumentRow) -> None:
    """Delete a document that the caller may delete. Raises 404 where it is not there any more."""
    async with as_caller(pool, caller.subject) as conn:
        async with as_service(conn):
            await emit_document(conn, row.space_id, "document.deleted", row.id)
            await audit(conn, caller, "document.deleted", "document", row.id, team_id=row.team_id)
            await insert_usage(conn, [_deletion(caller, row)])
        key = await documents.delete_document(conn, caller.writable_spaces, row.id)
        if key is None:
            raise not_found("document")
        await notify_document(conn, row.id)
    # After the commit: a row without its bytes would be a loss, bytes without a row are only litter.
    if key:
        await originals.delete(key)


def _deletion(caller: Caller, row: DocumentRow) -> UsageEntry:
    return UsageEntry(
        user_id=caller.user_id,
        team_id=row.team_id,
        key_id=caller.key_id,
        resource="document",
        resource_id=row.id,
        action="delete",
        size_bytes=row.size_bytes,
    )
