"""document: adds, changes, replaces, deletes and reads documents of the run's space.

What it changes commits with the node's end; a document that is waited for is written down before the wait. Its id is
made of the turn's idempotency key, so that no try adds a second one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from db import documents
from db.documents import DocumentRow
from db.pool import Conn
from db.tenancy import as_system
from db.workflow_documents import EXTERNAL_ID, list_by_external_id, lock_external_id
from service.engine.acting import refusals
from service.engine.definition import OUTPUT
from service.engine.documents import add, content_hash, described, document_id_for, receive, remove
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, Item, NodeType, Wait, emit
from service.engine.nodes.text import AS_TEXT, Text, as_text
from service.intake.intake import Intake, checked_metadata
from service.text import one_line, storable

POLL = timedelta(seconds=3)
MAX_REPLACED = 100
MAX_TITLE_CHARS = 500
MAX_URL_CHARS = 2_048


class DocumentConfig(Config, frozen=True, kw_only=True):
    operation: Annotated[
        Literal["add", "update", "upsert", "delete", "get"],
        msgspec.Meta(
            description="add, update, upsert, delete or get. upsert: put in the place of what has the same "
            "externalId, if anything has."
        ),
    ] = "add"
    title: Annotated[
        Text,
        msgspec.Meta(
            description="add, upsert: needed with content. update: the new one.", extra_json_schema=AS_TEXT
        ),
    ] = None
    content: Annotated[
        Text, msgspec.Meta(description="add, upsert: the text.", extra_json_schema=AS_TEXT)
    ] = None
    url: Annotated[
        str | None,
        msgspec.Meta(description="add, upsert: an address to fetch it from; with content: where it is from."),
    ] = None
    metadata: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="add, upsert, update: as a whole, for filters.")
    ] = None
    document_id: Annotated[str | None, msgspec.Meta(description="update, delete, get: which one.")] = None
    external_id: Annotated[
        str | None,
        msgspec.Meta(
            description="What it is called where it comes from, kept in metadata.external_id; also to find it by."
        ),
    ] = None
    include_text: Annotated[bool, msgspec.Meta(description="get: whether its text comes along.")] = False
    max_chars: Annotated[
        int, msgspec.Meta(ge=1, le=200_000, description="get: of the text, from its beginning.")
    ] = 20_000
    wait: Annotated[
        bool, msgspec.Meta(description="add, upsert: whether to go on only when it can be found.")
    ] = False
    wait_seconds: Annotated[
        int, msgspec.Meta(ge=1, le=86_400, description="How long at most; then the node fails.")
    ] = 600


class Document(NodeType[DocumentConfig]):
    name = "document"
    label = "Document"
    description = "Adds, changes, replaces, deletes or reads a document of the workflow's owner or team."
    config = DocumentConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        operation = data.get("operation", "add")
        found = []
        if operation in {"add", "upsert"}:
            if not data.get("content") and not data.get("url"):
                found.append(("content", "is missing: give content or a url"))
            if data.get("content") and not data.get("title"):
                found.append(("title", "is missing: content needs one"))
        elif not data.get("documentId") and not data.get("externalId"):
            found.append(("documentId", "is missing: give documentId or externalId"))
        if operation == "upsert" and not data.get("externalId"):
            found.append(("externalId", "is missing: what the document is found again by"))
        if operation == "update" and not data.get("title") and data.get("metadata") is None:
            found.append(("title", "is missing: give title or metadata to change"))
        if operation == "update" and (data.get("content") or data.get("url")):
            found.append(
                ("content", "is not changed by update: upsert puts a new text in the place of the old one")
            )
        return found

    async def run(self, call: Call[DocumentConfig]) -> Emit | Wait:
        _check(self.problems(msgspec.to_builtins(call.config)))
        with refusals():
            match call.config.operation:
                case "add" | "upsert":
                    return await _put(call)
                case "update":
                    return await _update(call)
                case "delete":
                    return await _delete(call)
                case "get":
                    return await _get(call)


def _check(problems: list[tuple[str, str]]) -> None:
    for key, what in problems:
        raise NodeError(f"{key} {what}.", code="bad_config", field=f"data.{key}")


async def _put(call: Call[DocumentConfig]) -> Emit | Wait:
    """Add a document, or put it in the place of another; and wait until it can be found, where that is wanted."""
    document_id = document_id_for(call.idempotency_key)
    row = await _find(call, document_id)
    if row is None:
        # Looked for after a wait as well: what is waited for may be the document that has been there before.
        unchanged = await _unchanged(call)
        if unchanged is not None:
            return unchanged
        if call.resumed is not None:
            raise NodeError("The document was deleted while it was waited for.", code="not_found")
        intake = await _received(call, document_id)

        async def write(conn: Conn) -> Item:
            return await _write(conn, call, intake)

        if not call.config.wait:
            return Emit(
                [(OUTPUT, {"id": document_id, "title": intake.title, "status": "queued"})], commit=write
            )
        async with as_system(call.services.pool) as conn:
            await write(conn)
        row = await _find(call, document_id)
    return _settled(call, row) if call.config.wait and row is not None else _shown(row)


def _shown(row: DocumentRow | None) -> Emit:
    if row is None:
        raise NodeError("There is no such document here.", code="not_found")
    return emit(described(row))


def _settled(call: Call[DocumentConfig], row: DocumentRow) -> Emit | Wait:
    """Go on with a document that is ready; wait for one that is not. Raises NodeError where it will not be."""
    if row.status == "ready":
        return emit(described(row))
    if row.status == "failed":
        raise NodeError(
            f"The document could not be taken in: {row.error_detail or row.error_code}.",
            code="ingestion_failed",
        )
    now, end = datetime.now(UTC), call.now + timedelta(seconds=call.config.wait_seconds)
    if now >= end:
        raise NodeError(
            f"The document is still {row.status} after {call.config.wait_seconds} s.", code="not_ready"
        )
    return Wait(until=min(now + POLL, end))


async def _received(call: Call[DocumentConfig], document_id: str) -> Intake:
    config = call.config
    content = None if config.content is None else as_text(config.content)
    if config.url is not None and len(config.url) > MAX_URL_CHARS:
        raise NodeError(
            f"url is longer than {MAX_URL_CHARS:,} characters.", code="bad_config", field="data.url"
        )
    return await receive(
        call.services,
        call.run,
        document_id,
        title=_title(config),
        content=content,
        url=config.url,
        metadata=_metadata(config),
    )


async def _write(conn: Conn, call: Call[DocumentConfig], intake: Intake) -> Item:
    run, external_id = call.run, storable(call.config.external_id or "")
    if call.config.operation == "add":
        return described(await add(conn, run, intake))
    # Two runs that put the same thing take turns, so that one of the two documents stays and not both.
    await lock_external_id(conn, run.space_id, external_id)
    others = await list_by_external_id(conn, run.space_id, external_id, limit=MAX_REPLACED)
    replaced = await remove(conn, run, [one for one in others if one != intake.document_id])
    return {**described(await add(conn, run, intake)), "replaced": replaced}


async def _unchanged(call: Call[DocumentConfig]) -> Emit | Wait | None:
    """Return what becomes of an upsert of a text that is there already: only title and metadata change."""
    config = call.config
    if config.operation != "upsert" or config.content is None or config.external_id is None:
        return None
    async with call.services.pool.acquire() as conn:
        found = await list_by_external_id(conn, call.run.space_id, storable(config.external_id), limit=2)
        row = await documents.find_document(conn, [call.run.space_id], found[0]) if len(found) == 1 else None
    if row is None or row.sha256 != content_hash(as_text(config.content)) or row.status == "failed":
        return None
    if config.wait and row.status != "ready":
        return _settled(call, row)
    return _changing(call, row.id, title=_title(config), metadata=_metadata(config), replaced=[])


async def _update(call: Call[DocumentConfig]) -> Emit:
    row = await _wanted(call)
    config = call.config
    is_named = config.document_id is not None and config.external_id is not None
    changes = config.metadata is not None or is_named
    return _changing(
        call, row.id, title=_title(config), metadata=_metadata(config, row.metadata) if changes else None
    )


def _changing(
    call: Call[DocumentConfig],
    document_id: str,
    *,
    title: str | None,
    metadata: dict[str, Any] | None,
    **more: Any,
) -> Emit:
    async def write(conn: Conn) -> Item:
        spaces = [call.run.space_id]
        await documents.update_document(
            conn, spaces, document_id, title=title, set_metadata=metadata is not None, metadata=metadata
        )
        row = await documents.find_document(conn, spaces, document_id)
        # Deleted by somebody in this very moment.
        return {"id": document_id, "status": "deleted"} if row is None else {**described(row), **more}

    return Emit([(OUTPUT, {"id": document_id})], commit=write)


async def _delete(call: Call[DocumentConfig]) -> Emit:
    row = await _wanted(call)

    async def write(conn: Conn) -> None:
        await remove(conn, call.run, [row.id])

    return Emit([(OUTPUT, {"id": row.id, "title": row.title, "status": "deleted"})], commit=write)


async def _get(call: Call[DocumentConfig]) -> Emit:
    row = await _wanted(call)
    if not call.config.include_text:
        return emit(described(row))
    async with call.services.pool.acquire() as conn:
        text = await documents.find_text(conn, [call.run.space_id], row.id) or ""
    at_most = call.config.max_chars
    return emit({**described(row), "text": text[:at_most], "text_is_cut": len(text) > at_most})


async def _find(call: Call[DocumentConfig], document_id: str) -> DocumentRow | None:
    async with call.services.pool.acquire() as conn:
        return await documents.find_document(conn, [call.run.space_id], storable(document_id))


async def _wanted(call: Call[DocumentConfig]) -> DocumentRow:
    """Return the document that is named, by its id or by what it is called outside. Raises NodeError not_found."""
    document_id, external_id = call.config.document_id, call.config.external_id
    if document_id is None and external_id is not None:
        async with call.services.pool.acquire() as conn:
            found = await list_by_external_id(conn, call.run.space_id, storable(external_id), limit=1)
        document_id = found[0] if found else None
    row = None if document_id is None else await _find(call, document_id)
    if row is None:
        wanted = call.config.document_id or call.config.external_id
        raise NodeError(f"There is no document {wanted!r} here.", code="not_found")
    return row


def _title(config: DocumentConfig) -> str | None:
    text = as_text(config.title)
    return one_line(text, "title", max_length=MAX_TITLE_CHARS) if text.strip() else None


def _metadata(config: DocumentConfig, before: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the metadata with what the document is found again by: as the node says, else as before."""
    metadata = before if config.metadata is None else config.metadata
    if config.external_id is not None:
        metadata = {**(metadata or {}), EXTERNAL_ID: storable(config.external_id)}
    elif metadata is not None and before is not None and EXTERNAL_ID in before:
        metadata = {EXTERNAL_ID: before[EXTERNAL_ID], **metadata}
    return checked_metadata(metadata)
