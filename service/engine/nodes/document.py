"""Documents added, changed, read and deleted by a workflow, in its own space.

Bytes go to the object store first; rows, job and the node's end are one transaction. A step that is taken twice finds
the document of its first turn there, since the id is made of the step's idempotency key.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta

from db import documents, ingestions, jobs
from db.documents import DocumentRow
from db.events import notify_document
from db.outbox import emit_document
from db.pool import Conn
from db.tenancy import as_system
from db.usage import UsageEntry, insert_usage
from db.workflow_documents import find_by_external_id, remember_origin
from ingest.errors import IngestError
from ingest.fetch import check_url
from ingest.receive import StoredFile, clean_filename, storage_key, store_file
from ingest.store import to_original
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, InTransaction, NodeType, Outcome, Wait, emit
from service.errors import Problem
from service.intake.intake import Intake, checked_metadata, insert_intake
from service.text import one_line

Operation = Literal["add", "upsert", "update", "get", "delete"]
EXTERNAL_ID = "external_id"
_LOOK_AGAIN = timedelta(seconds=2)
_UNFINISHED = ("queued", "processing")


class DocumentConfig(Config, frozen=True, kw_only=True):
    operation: Annotated[Operation, Meta(description="What to do.")] = "add"
    document_id: Annotated[str | None, Meta(description="Of update, get and delete.")] = None
    external_id: Annotated[
        Annotated[str, Meta(max_length=500)] | None,
        Meta(description="Your own name for it, kept in metadata: upsert replaces what has it."),
    ] = None
    title: Annotated[Annotated[str, Meta(max_length=500)] | None, Meta(description="Its title.")] = None
    content: Annotated[str | None, Meta(description="Its text: plain, Markdown or HTML.")] = None
    filename: Annotated[
        Annotated[str, Meta(max_length=255)] | None,
        Meta(description="Says what content is, as page.html; unset: plain text."),
    ] = None
    url: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(description="Instead of content: where to fetch it."),
    ] = None
    metadata: Annotated[dict[str, Any] | None, Meta(description="What filters can ask for.")] = None
    wait: Annotated[bool, Meta(description="Go on when it can be searched.")] = False
    wait_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="How long that is waited for; then the step fails.")
    ] = 600
    include_text: Annotated[bool, Meta(description="Of get: give its text.")] = False
    max_chars: Annotated[int, Meta(ge=1, le=500_000, description="Of get: so much of it.")] = 100_000


class Document(NodeType[DocumentConfig]):
    name = "document"
    label = "Document"
    description = "Adds, replaces, changes, reads or deletes a document that can be searched."
    config = DocumentConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        match data.get("operation", "add"):
            case "add" | "upsert" as operation:
                if not data.get("content") and not data.get("url"):
                    return [("content", "is missing: give content, or a url")]
                if operation == "upsert" and not data.get("externalId"):
                    return [("externalId", "is missing: upsert replaces the document that has it")]
                if operation == "upsert" and not data.get("content"):
                    return [("content", "is missing: upsert takes no url; fetch it with an http node")]
            case "update" | "get" | "delete":
                if not data.get("documentId") and not data.get("externalId"):
                    return [("documentId", "is missing: say which document, by this or by externalId")]
        return []

    async def run(self, call: Call[DocumentConfig]) -> Outcome:
        try:
            match call.config.operation:
                case "add":
                    return await _add(call, str(uuid.UUID(call.idempotency_key)))
                case "upsert":
                    return await _upsert(call)
                case "update":
                    return await _update(call)
                case "get":
                    return await _get(call)
                case "delete":
                    return await _delete(call)
        except IngestError as exc:
            raise NodeError(exc.detail, code=exc.code) from exc


async def _add(call: Call[DocumentConfig], document_id: str) -> Outcome:
    config, run = call.config, call.run
    existing = await _find(call, document_id)
    if existing is not None:
        return _when_ready(call, existing, changed=True)
    file = await _store(call, storage_key(document_id)) if config.content is not None else None
    if file is None:
        if not config.url:
            raise NodeError("Give content, or a url.", code="bad_config", field="data.content")
        check_url(config.url)
    intake = Intake(
        document_id=document_id,
        file=file,
        title=_title(config),
        metadata=_metadata(config),
        team_id=run.team_id,
        source_type="url" if file is None else "text",
        source_url=config.url,
    )

    async def write(conn: Conn) -> None:
        await insert_intake(conn, run.user_id, intake)
        await remember_origin(conn, document_id, run.execution_id)
        await jobs.enqueue_ingestion(conn, document_id)
        await insert_usage(conn, [_usage(call, document_id, "upload", file)])

    if config.wait:
        # Written in a transaction of its own: what comes next is to wait for it.
        await _write_now(call, write)
        return Wait(datetime.now(UTC) + _LOOK_AGAIN)
    return Emit([("output", _described(document_id, intake.title, "queued", changed=True))], commit=write)


async def _upsert(call: Call[DocumentConfig]) -> Outcome:
    config = call.config
    if not config.external_id or config.content is None:
        raise NodeError("upsert wants externalId and content.", code="bad_config", field="data.externalId")
    async with call.services.pool.acquire() as conn:
        document_id = await find_by_external_id(conn, call.run.space_id, EXTERNAL_ID, config.external_id)
    if document_id is None:
        return await _add(call, str(uuid.UUID(call.idempotency_key)))
    row = await _require(call, document_id)
    if call.resumed is not None:
        return _when_ready(call, row, changed=True)
    key = f"{storage_key(document_id)}.{call.idempotency_key[:8]}"
    file = await _store(call, key)
    if row.sha256 == file.sha256:
        await call.services.originals.delete(key)
        return _when_ready(call, row, changed=False)
    if row.status in _UNFINISHED:
        await call.services.originals.delete(key)
        raise NodeError("The document is still being read.", code="busy", retryable=True, retry_after_s=5.0)

    async def write(conn: Conn) -> None:
        old = await documents.replace_original(conn, call.run.space_id, document_id, to_original(file))
        if old is None or not await ingestions.restart(conn, call.run.space_id, document_id):
            raise NodeError("The document was deleted, or is being read.", code="busy", retryable=True)
        await documents.update_document(
            conn, [call.run.space_id], document_id, title=_title(config) if config.title else None,
            set_metadata=config.metadata is not None, metadata=_metadata(config),
        )  # fmt: skip
        await jobs.enqueue_ingestion(conn, document_id)
        if old != key:
            await jobs.enqueue_original_deletions(conn, [old])
        await insert_usage(conn, [_usage(call, document_id, "replace", file)])

    if config.wait:
        await _write_now(call, write)
        return Wait(datetime.now(UTC) + _LOOK_AGAIN)
    title = config.title or row.title
    return Emit([("output", _described(document_id, title, "queued", changed=True))], commit=write)


async def _update(call: Call[DocumentConfig]) -> Outcome:
    config = call.config
    row = await _named(call)
    title = config.title or row.title

    async def write(conn: Conn) -> None:
        changed = await documents.update_document(
            conn, [call.run.space_id], row.id, title=_title(config) if config.title else None,
            set_metadata=config.metadata is not None, metadata=_metadata(config, row),
        )  # fmt: skip
        if not changed:
            raise NodeError("The document was deleted.", code="not_found")

    return Emit([("output", _described(row.id, title, row.status, changed=True))], commit=write)


async def _get(call: Call[DocumentConfig]) -> Outcome:
    row = await _named(call)
    item = _described(row.id, row.title, row.status) | {
        "metadata": row.metadata or {},
        "source_url": row.source_url,
        "pages": row.page_count,
        "created_at": row.created_at.isoformat(),
    }
    if call.config.include_text:
        async with call.services.pool.acquire() as conn:
            text = await documents.find_text(conn, [call.run.space_id], row.id) or ""
        item |= {"text": text[: call.config.max_chars], "is_cut": len(text) > call.config.max_chars}
    return emit(item)


async def _delete(call: Call[DocumentConfig]) -> Outcome:
    config, space_id = call.config, call.run.space_id
    document_id = config.document_id
    if document_id is None and config.external_id:
        async with call.services.pool.acquire() as conn:
            document_id = await find_by_external_id(conn, space_id, EXTERNAL_ID, config.external_id)
    row = None if document_id is None else await _find(call, document_id)
    if row is None:
        # As it should be: also where an earlier turn has done it.
        return emit({"document_id": document_id, "deleted": False})

    async def write(conn: Conn) -> None:
        await emit_document(conn, space_id, "document.deleted", row.id)
        key = await documents.delete_document(conn, [space_id], row.id)
        if key:
            await jobs.enqueue_original_deletions(conn, [key])
        await notify_document(conn, row.id)
        await insert_usage(conn, [_usage(call, row.id, "delete", None)])

    return Emit([("output", {"document_id": row.id, "deleted": True})], commit=write)


async def _write_now(call: Call[DocumentConfig], write: InTransaction) -> None:
    async with as_system(call.services.pool) as conn:
        await write(conn)


def _when_ready(call: Call[DocumentConfig], row: DocumentRow, *, changed: bool) -> Outcome:
    """Return the document, or, where it is to be waited for, wait a little more."""
    if call.config.wait and row.status in _UNFINISHED:
        if datetime.now(UTC) - call.now > timedelta(seconds=call.config.wait_seconds):
            raise NodeError("The document was not read in time.", code="timeout")
        return Wait(datetime.now(UTC) + _LOOK_AGAIN)
    if call.config.wait and row.status == "failed":
        raise NodeError(
            row.error_detail or "The document could not be read.", code=row.error_code or "failed"
        )
    return emit(_described(row.id, row.title, row.status, changed=changed))


def _described(document_id: str, title: str, status: str, *, changed: bool | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"document_id": document_id, "title": title, "status": status}
    return item if changed is None else item | {"changed": changed}


async def _find(call: Call[DocumentConfig], document_id: str) -> DocumentRow | None:
    if "\x00" in document_id:
        return None
    async with call.services.pool.acquire() as conn:
        return await documents.find_document(conn, [call.run.space_id], document_id)


async def _require(call: Call[DocumentConfig], document_id: str) -> DocumentRow:
    row = await _find(call, document_id)
    if row is None:
        raise NodeError(f"There is no document {document_id[:80]!r} here.", code="not_found")
    return row


async def _named(call: Call[DocumentConfig]) -> DocumentRow:
    config = call.config
    document_id = config.document_id
    if document_id is None and config.external_id:
        async with call.services.pool.acquire() as conn:
            document_id = await find_by_external_id(conn, call.run.space_id, EXTERNAL_ID, config.external_id)
    if document_id is None:
        raise NodeError("There is no such document here.", code="not_found", field="data.documentId")
    return await _require(call, document_id)


async def _store(call: Call[DocumentConfig], key: str) -> StoredFile:
    content = (call.config.content or "").encode("utf-8", errors="replace")
    return await store_file(
        call.services.originals,
        key,
        _once(content),
        filename=clean_filename(call.config.filename or "text.txt"),
        declared=None if call.config.filename else "text/plain",
        max_bytes=call.services.settings.max_upload_bytes,
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _title(config: DocumentConfig) -> str:
    title = config.title or config.filename or config.url or config.external_id or "Untitled"
    try:
        return one_line(title[:500], "title")
    except Problem as exc:
        raise NodeError(
            exc.detail or "The title is not valid.", code="bad_config", field="data.title"
        ) from exc


def _metadata(config: DocumentConfig, row: DocumentRow | None = None) -> dict[str, Any] | None:
    metadata = dict(config.metadata or {})
    kept = (row.metadata or {}).get(EXTERNAL_ID) if row else None
    external_id = config.external_id or kept
    if external_id is not None:
        metadata[EXTERNAL_ID] = external_id
    try:
        return checked_metadata(metadata or None)
    except Problem as exc:
        raise NodeError(exc.detail or "It is not valid.", code="bad_config", field="data.metadata") from exc


def _usage(call: Call[DocumentConfig], document_id: str, action: str, file: StoredFile | None) -> UsageEntry:
    return UsageEntry(
        user_id=call.run.user_id,
        team_id=call.run.team_id,
        resource="document",
        resource_id=document_id,
        action=action,
        size_bytes=None if file is None else file.size_bytes,
    )
