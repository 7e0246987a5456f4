"""/v1/vector_stores/{id}/files: documents in a collection as OpenAI's clients see them."""

from typing import Annotated

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from db import documents, members
from db.members import MemberRow, MemberStatus, Place
from db.pool import Conn, Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.errors import not_found
from service.openai_api.attaching import attach, storable
from service.openai_api.chunking import used_chunking
from service.openai_api.errors import failures
from service.openai_api.files import FileParameter, to_seconds
from service.openai_api.ids import to_document_id, to_file_id
from service.openai_api.lists import After, Before, CursorPage, Limit, Order, no_place, to_page
from service.openai_api.schemas import (
    ContentPage,
    Deleted,
    LastError,
    NewStoreFile,
    StoreFile,
    StoreFilePatch,
    TextContent,
)
from service.openai_api.vector_stores import StoreParameter, find_store, find_writable_store
from service.providers import EmbeddingProvider

POLL_AFTER = {"openai-poll-after-ms": "300"}
"""How soon a client that waits should look again: most files take a second or two."""

StatusFilter = Annotated[
    MemberStatus | None, QueryParameter(name="filter", description="Only those in this state.")
]

_INVALID = frozenset(
    {"corrupt_file", "encrypted_file", "no_text", "empty_file", "file_too_large", "parser_limit"}
)


@post(
    "/vector_stores/{vector_store_id:str}/files",
    status_code=200,
    responses=failures(404),
    summary="Put a file into a vector store",
)
async def create_store_file(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    data: JSONBody[NewStoreFile],
) -> Response[StoreFile]:
    """Put a file in. One that is in already keeps its attributes unless others are given."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        (document_id,) = await attach(conn, caller, store, [data], embedder.window_tokens)
        row = await _find(conn, store.space_id, store.id, document_id)
    return _reply(row, embedder.window_tokens)


@get(
    "/vector_stores/{vector_store_id:str}/files",
    responses=failures(404),
    summary="List the files of a vector store",
)
async def list_store_files(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    limit: Limit = 20,
    after: After = None,
    before: Before = None,
    order: Order = "desc",
    status: StatusFilter = None,
) -> CursorPage[StoreFile]:
    """Return the files in the order in which they were put in."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_store(conn, caller, vector_store_id)
        return await page_of_files(
            conn,
            store.space_id,
            store.id,
            None,
            limit=limit,
            after=after,
            before=before,
            order=order,
            status=status,
            window_tokens=embedder.window_tokens,
        )


async def page_of_files(
    conn: Conn,
    space_id: str,
    store_id: str,
    batch_id: str | None,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    order: str,
    status: MemberStatus | None,
    window_tokens: int,
) -> CursorPage[StoreFile]:
    """Return a page of a store's files, or of one batch's."""
    rows = await members.list_members(
        conn,
        space_id,
        store_id,
        batch_id=batch_id,
        limit=limit + 1,
        newest_first=order == "desc",
        after=await _place(conn, space_id, store_id, after, "after"),
        before=await _place(conn, space_id, store_id, before, "before"),
        status=status,
    )
    return to_page(
        rows,
        limit,
        lambda row: to_store_file(row, window_tokens),
        lambda file: file.id,
        backwards=before is not None and after is None,
    )


async def _place(conn: Conn, space_id: str, store_id: str, file_id: str | None, name: str) -> Place | None:
    if file_id is None:
        return None
    place = await members.find_place(conn, space_id, store_id, to_document_id(file_id))
    if place is None:
        raise no_place(name)
    return place


@get(
    "/vector_stores/{vector_store_id:str}/files/{file_id:str}",
    responses=failures(404),
    summary="Get a file of a vector store",
)
async def retrieve_store_file(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    file_id: FileParameter,
) -> Response[StoreFile]:
    """Return the file as it is in the vector store, and whether it can be searched."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_store(conn, caller, vector_store_id)
        row = await _find(conn, store.space_id, store.id, to_document_id(file_id))
    return _reply(row, embedder.window_tokens)


@post(
    "/vector_stores/{vector_store_id:str}/files/{file_id:str}",
    status_code=200,
    responses=failures(404),
    summary="Change a file of a vector store",
)
async def update_store_file(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    file_id: FileParameter,
    data: JSONBody[StoreFilePatch],
) -> Response[StoreFile]:
    """Replace the attributes as a whole; searches filter by the new ones at once."""
    document_id = to_document_id(file_id)
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        attributes = storable(data.attributes)
        if not await members.set_attributes(conn, store.space_id, store.id, document_id, attributes):
            raise not_found("file in this vector store")
        row = await _find(conn, store.space_id, store.id, document_id)
    return _reply(row, embedder.window_tokens)


@delete(
    "/vector_stores/{vector_store_id:str}/files/{file_id:str}",
    status_code=200,
    responses=failures(404),
    summary="Take a file out of a vector store",
)
async def delete_store_file(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    vector_store_id: StoreParameter,
    file_id: FileParameter,
) -> Deleted:
    """Take the file out; it stays a file."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        if not await members.delete_member(conn, store.space_id, store.id, to_document_id(file_id)):
            raise not_found("file in this vector store")
    return Deleted(id=file_id, object="vector_store.file.deleted", deleted=True)


@get(
    "/vector_stores/{vector_store_id:str}/files/{file_id:str}/content",
    responses=failures(404),
    summary="Get the text of a file of a vector store",
)
async def retrieve_store_content(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    vector_store_id: StoreParameter,
    file_id: FileParameter,
) -> ContentPage:
    """Return the extracted text that character spans count in; none until it is ready."""
    document_id = to_document_id(file_id)
    async with as_caller(pool, caller.subject) as conn:
        store = await find_store(conn, caller, vector_store_id)
        await _find(conn, store.space_id, store.id, document_id)
        text = await documents.find_text(conn, [store.space_id], document_id)
    return ContentPage(
        object="vector_store.file_content.page",
        data=[TextContent(type="text", text=text)] if text else [],
        has_more=False,
        next_page=None,
    )


async def _find(conn: Conn, space_id: str, store_id: str, document_id: str) -> MemberRow:
    row = await members.find_member(conn, space_id, store_id, document_id)
    if row is None:
        raise not_found("file in this vector store")
    return row


def _reply(row: MemberRow, window_tokens: int) -> Response[StoreFile]:
    headers = POLL_AFTER if row.status == "in_progress" else {}
    return Response(to_store_file(row, window_tokens), headers=headers)


def to_store_file(row: MemberRow, window_tokens: int) -> StoreFile:
    return StoreFile(
        id=to_file_id(row.document_id),
        object="vector_store.file",
        created_at=to_seconds(row.created_at),
        vector_store_id=row.collection_id,
        usage_bytes=row.size_bytes,
        status=row.status,
        last_error=_last_error(row),
        attributes=row.attributes,
        chunking_strategy=used_chunking(row, window_tokens),
    )


def _last_error(row: MemberRow) -> LastError | None:
    if row.status != "failed":
        return None
    message = row.error_detail or "The file could not be prepared for search."
    if row.error_code == "unsupported_format":
        return LastError(code="unsupported_file", message=message)
    return LastError(code="invalid_file" if row.error_code in _INVALID else "server_error", message=message)


store_file_routes = [
    create_store_file,
    list_store_files,
    retrieve_store_file,
    update_store_file,
    delete_store_file,
    retrieve_store_content,
]
