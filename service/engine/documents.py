"""Documents that runs add and delete: within one space, exactly once, in the transaction that ends the node's turn."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from db import documents
from db.budgets import require_room
from db.documents import DocumentRow
from db.events import notify_document
from db.jobs import enqueue_ingestion, enqueue_original_deletions
from db.outbox import emit_document
from db.plans import has_room
from db.pool import Conn
from db.tenancy import as_system
from db.usage import UsageEntry, insert_usage
from db.workflow_documents import record_document
from service.audit import audit_system
from service.budgets import subjects_of
from service.engine.acting import caller_of, payer_of, refusals
from service.engine.errors import NodeError
from service.engine.services import Services
from service.intake.intake import Intake, insert_intake, take_text, take_url
from service.intake.schemas import NewText, NewUrl

if TYPE_CHECKING:
    # Its package imports the node types, which import this.
    from service.engine.nodes.base import RunContext

_DOCUMENTS = uuid.UUID("5b6f6a6e-30a2-4f7e-9d6e-0f3f8e0f5f61")


def document_id_for(idempotency_key: str) -> str:
    """Return the id of the document that a turn adds: the same in every try."""
    return str(uuid.uuid5(_DOCUMENTS, idempotency_key))


def content_hash(content: str) -> bytes:
    """Return the hash of the original that a document given as text is kept as."""
    return hashlib.sha256(_encoded(content)).digest()


def _encoded(content: str) -> bytes:
    return content.encode("utf-8", errors="replace")


async def receive(
    services: Services,
    run: "RunContext",
    document_id: str,
    *,
    title: str | None,
    content: str | None,
    url: str | None,
    metadata: Mapping[str, Any] | None,
) -> Intake:
    """Put what is to be a document into the object store, and check that there is room. Raises NodeError.

    Where the node does not come to its end, the bytes stay behind under a key that only its next try uses.
    """
    kept = None if metadata is None else dict(metadata)
    with refusals():
        await _require_room(services, run, 0 if content is None else len(_encoded(content)))
        if content is None:
            return take_url(
                NewUrl(url=url or "", title=title, metadata=kept, team_id=run.team_id), document_id
            )
        new = NewText(title=title or "", content=content, metadata=kept, team_id=run.team_id, source_url=url)
        return await take_text(new, services.originals, services.settings.max_upload_bytes, document_id)


async def _require_room(services: Services, run: "RunContext", size_bytes: int) -> None:
    payer = await payer_of(services, run)
    async with as_system(services.pool) as conn:
        if not await has_room(conn, [run.space_id], size_bytes):
            raise NodeError("The plan allows no more storage.", code="plan_limit")
        if services.settings.embedding_price_per_million > 0:
            await require_room(conn, subjects_of(payer, run.team_id))


async def add(conn: Conn, run: "RunContext", intake: Intake) -> DocumentRow:
    """Write a document down, as the service, unless it is there already. Raises PlanLimitReached."""
    row = await documents.find_document(conn, [run.space_id], intake.document_id)
    if row is not None:
        return row
    owner = caller_of(run).user_id
    await insert_intake(conn, owner, intake)
    await enqueue_ingestion(conn, intake.document_id)
    size_bytes = None if intake.file is None else intake.file.size_bytes
    await insert_usage(conn, [_usage(run, intake.document_id, "upload", size_bytes)])
    await record_document(conn, intake.document_id, run.execution_id)
    row = await documents.find_document(conn, [run.space_id], intake.document_id)
    if row is None:
        raise NodeError("The space of the workflow is gone.", code="not_found")
    return row


async def remove(conn: Conn, run: "RunContext", document_ids: Sequence[str]) -> list[str]:
    """Delete documents of the space, as the service; return the ids of those that were there."""
    removed = []
    for document_id in document_ids:
        row = await documents.find_document(conn, [run.space_id], document_id)
        if row is None:
            continue
        await emit_document(conn, row.space_id, "document.deleted", row.id)
        await audit_system(
            conn,
            "system",
            "document.deleted",
            "document",
            row.id,
            team_id=row.team_id,
            workflow_id=run.workflow_id,
            execution_id=run.execution_id,
        )
        await insert_usage(conn, [_usage(run, row.id, "delete", row.size_bytes)])
        key = await documents.delete_document(conn, [run.space_id], row.id)
        await notify_document(conn, row.id)
        # By a job: bytes without a row are only litter, a row without its bytes would be a loss.
        await enqueue_original_deletions(conn, [key] if key else [])
        removed.append(row.id)
    return removed


def _usage(run: "RunContext", document_id: str, action: str, size_bytes: int | None) -> UsageEntry:
    return UsageEntry(
        user_id=caller_of(run).user_id,
        team_id=run.team_id,
        resource="document",
        resource_id=document_id,
        action=action,
        size_bytes=size_bytes,
    )


def described(row: DocumentRow) -> dict[str, Any]:
    """Return a document as an item."""
    error = None
    if row.error_code is not None:
        error = {"stage": row.error_stage, "code": row.error_code, "detail": row.error_detail}
    return {
        "id": row.id,
        "title": row.title,
        "status": row.status,
        "error": error,
        "metadata": row.metadata or {},
        "source_type": row.source_type,
        "source_url": row.source_url,
        "filename": row.filename,
        "media_type": row.media_type,
        "size_bytes": row.size_bytes,
        "page_count": row.page_count,
        "chunk_count": row.chunk_count,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }
