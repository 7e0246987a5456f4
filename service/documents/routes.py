"""/v1/documents: upload, list, look at, change, delete; original bytes, extracted text, chunks, progress."""

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import ServerSentEvent, Stream

from db import chunks, documents, ingestions, jobs
from db.documents import Cursor, DocumentRow, Status
from db.events import Events
from db.outbox import emit_document
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from ingest.originals import Originals
from service.auth.caller import Caller
from service.auth.guard import is_still_valid
from service.cursors import decode_cursor, encode_cursor
from service.documents.openapi import UploadOperation
from service.documents.progress import stream_progress, wait_until_finished
from service.documents.schemas import Accepted, Chunk, Document, DocumentPatch
from service.errors import Problem, not_found
from service.intake.content import stream_original
from service.intake.intake import checked_metadata, register
from service.intake.receiving import receive, require_room
from service.intake.removing import remove_document
from service.openapi import problems
from service.schemas import Page
from service.settings import Settings
from service.text import one_line

# The longest that ?wait= may hold a reply: proxies commonly give up after 60 s.
MAX_WAIT_S = 55

DocumentId = Annotated[str, PathParameter(description="The document's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
Wait = Annotated[
    float, QueryParameter(ge=0, le=MAX_WAIT_S, description="Seconds to hold the reply until ready or failed.")
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeat with the same key within a day returns the first one's document.",
    ),
]


@post(
    "/",
    status_code=202,
    operation_class=UploadOperation,
    responses=problems(402, 404, 409, 413, 415, 422),
    request_max_body_size=None,  # the limit is MAX_UPLOAD_BYTES, counted as the body streams in
    summary="Upload a document",
)
async def upload_document(
    request: Request[Any, Caller, Any],
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    event_feed: NamedDependency[Events],
    deployment: NamedDependency[Settings],
    wait: Wait = 0,
    idempotency_key: IdempotencyKey = None,
) -> Response[Accepted]:
    """Take a file (multipart), a text or an address (JSON), queue it for ingestion and answer at once."""
    await require_room(pool, caller, request.content_length or 0)
    intake = await receive(request, originals, deployment.max_upload_bytes)
    document_id = await register(
        pool, originals, caller, intake, idempotency_key, is_priced=deployment.embedding_price_per_million > 0
    )
    row = await wait_until_finished(pool, event_feed, caller, document_id, wait)
    if row is None:
        raise not_found("document")
    return Response(Accepted.from_row(row), headers={"Location": f"/v1/documents/{document_id}"})


@get("/", responses=problems(), summary="List documents")
async def list_documents(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    status: Annotated[Status | None, QueryParameter(description="Only those in this state.")] = None,
    source_url: Annotated[
        str | None, QueryParameter(max_length=2048, description="Only those from here.")
    ] = None,
) -> Page[Document]:
    """Return the caller's documents and their teams', newest first."""
    cursor = decode_cursor(after, Cursor)
    if source_url is not None and "\x00" in source_url:
        return Page(data=[], has_more=False, next_cursor=None)
    async with as_caller(pool, caller.subject) as conn:
        rows = await documents.list_documents(
            conn, caller.spaces, limit=limit + 1, after=cursor, status=status, source_url=source_url
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Document.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/{document_id:str}", responses=problems(404), summary="Get a document")
async def get_document(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], document_id: DocumentId
) -> Document:
    """Return the document and where its ingestion stands."""
    return Document.from_row(await _find(pool, caller, document_id))


@patch("/{document_id:str}", responses=problems(402, 404, 422), summary="Change a document")
async def update_document(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    document_id: DocumentId,
    data: JSONBody[DocumentPatch],
) -> Document:
    """Change title, metadata or team; filters and searches see it at once."""
    row = await _find_writable(pool, caller, document_id)
    given_metadata = None if data.metadata is msgspec.UNSET else data.metadata
    team_id = None if data.team_id is msgspec.UNSET else data.team_id
    if team_id is not None:
        caller.require("documents:write", team_id)
    elif data.team_id is None and row.user_id != caller.user_id:
        raise Problem(HTTPStatus.FORBIDDEN, "Only who uploaded a document can take it back from the team.")
    moves = data.team_id is not msgspec.UNSET and (team_id or row.user_id) != row.space_id
    async with as_caller(pool, caller.subject) as conn:
        if moves:
            async with as_service(conn):
                await emit_document(conn, row.space_id, "document.deleted", document_id, reason="moved")
        if not await documents.update_document(
            conn,
            caller.writable_spaces,
            document_id,
            title=None if data.title is msgspec.UNSET else one_line(data.title, "title"),
            set_metadata=data.metadata is not msgspec.UNSET,
            metadata=checked_metadata(given_metadata),
            set_team=data.team_id is not msgspec.UNSET,
            team_id=team_id,
        ):
            raise not_found("document")
        if moves:
            async with as_service(conn):
                await _settle(conn, row, team_id or row.user_id)
    return Document.from_row(await _find(pool, caller, document_id))


async def _settle(conn: Conn, row: DocumentRow, space_id: str) -> None:
    """After a move: tell the webhooks of where the document is now, or have it ingested there."""
    if row.status == "ready":
        await emit_document(conn, space_id, "document.ready", row.id)
    elif row.status in {"queued", "processing"}:
        # A worker that has it in hand finds nothing any more where it was.
        await jobs.enqueue_ingestion(conn, row.id)


@delete("/{document_id:str}", responses=problems(404), summary="Delete a document")
async def delete_document(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    document_id: DocumentId,
) -> None:
    """Remove the document from search at once, and its original for good."""
    row = await _find_writable(pool, caller, document_id)
    await remove_document(pool, originals, caller, row)


@post(
    "/{document_id:str}/retry",
    status_code=202,
    responses=problems(404, 409),
    summary="Try a failed document again",
)
async def retry_document(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], document_id: DocumentId
) -> Accepted:
    """Queue a failed document again, from its original."""
    await _find_writable(pool, caller, document_id)
    async with as_caller(pool, caller.subject) as conn:
        if not await ingestions.requeue(conn, caller.writable_spaces, document_id):
            raise Problem(HTTPStatus.CONFLICT, "Only a failed document can be tried again.")
        async with as_service(conn):
            await jobs.enqueue_ingestion(conn, document_id)
    return Accepted.from_row(await _find(pool, caller, document_id))


@get(
    "/{document_id:str}/content",
    responses=problems(404, 422),
    media_type="application/octet-stream",
    summary="Download the original",
)
async def get_content(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    document_id: DocumentId,
) -> Stream:
    """Return the bytes that were uploaded, as an attachment."""
    async with as_caller(pool, caller.subject) as conn:
        original = await documents.find_original(conn, caller.spaces, document_id)
    if original is None:
        raise not_found("document")
    return await stream_original(originals, original, document_id)


@get(
    "/{document_id:str}/text",
    responses=problems(404),
    media_type="text/plain",
    summary="Get the text",
)
async def get_text(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], document_id: DocumentId
) -> Response[str]:
    """Return the extracted text that character spans count in; empty until the document is ready."""
    async with as_caller(pool, caller.subject) as conn:
        text = await documents.find_text(conn, caller.spaces, document_id)
    if text is None:
        raise not_found("document")
    return Response(text, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})


@get("/{document_id:str}/chunks", responses=problems(404), summary="List the chunks")
async def list_chunks(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    document_id: DocumentId,
    limit: Limit = 50,
    after: After = None,
) -> Page[Chunk]:
    """Return the document's chunks in the order of its text."""
    position = decode_cursor(after, int)
    if position is not None and not -1 <= position < 2**31:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.")
    await _find(pool, caller, document_id)
    async with as_caller(pool, caller.subject) as conn:
        rows = await chunks.list_chunks(
            conn,
            caller.spaces,
            document_id,
            limit=limit + 1,
            after_ordinal=-1 if position is None else position,
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Chunk.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(shown[-1].ordinal) if more else None,
    )


@get(
    "/{document_id:str}/events",
    responses=problems(404),
    media_type="text/event-stream",
    summary="Follow the ingestion",
)
async def follow_document(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    document_id: DocumentId,
    state: State,
) -> ServerSentEvent:
    """Send `progress` events, then `ready`, `failed` or `deleted`, and end; or end with the key."""
    await _find(pool, caller, document_id)
    valid = partial(is_still_valid, state, caller)
    return ServerSentEvent(stream_progress(pool, event_feed, caller, document_id, valid))


async def _find(pool: Pool, caller: Caller, document_id: str) -> DocumentRow:
    async with as_caller(pool, caller.subject) as conn:
        row = await documents.find_document(conn, caller.spaces, document_id)
    if row is None:
        raise not_found("document")
    return row


async def _find_writable(pool: Pool, caller: Caller, document_id: str) -> DocumentRow:
    row = await _find(pool, caller, document_id)
    if row.team_id is not None:
        caller.require("documents:write", row.team_id)
    return row


documents_router = Router(
    "/v1/documents",
    tags=["documents"],
    route_handlers=[
        upload_document,
        list_documents,
        get_document,
        update_document,
        delete_document,
        retry_document,
        get_content,
        get_text,
        list_chunks,
        follow_document,
    ],
)
