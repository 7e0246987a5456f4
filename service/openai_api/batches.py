"""/v1/vector_stores/{id}/file_batches: files that are put into a vector store together."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import batches
from db.batches import BatchRow
from db.collections import CollectionRow
from db.pool import Conn, Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openai_api.attaching import attach
from service.openai_api.errors import failures
from service.openai_api.files import to_seconds
from service.openai_api.lists import After, Before, CursorPage, Limit, Order
from service.openai_api.schemas import Batch, NewBatch, NewStoreFile, StoreFile
from service.openai_api.store_files import POLL_AFTER, StatusFilter, page_of_files
from service.openai_api.vector_stores import StoreParameter, find_store, find_writable_store, to_counts
from service.providers import EmbeddingProvider

BatchParameter = Annotated[str, PathParameter(description="The batch's id.", max_length=200)]


@post(
    "/vector_stores/{vector_store_id:str}/file_batches",
    status_code=200,
    responses=failures(404),
    summary="Put files into a vector store",
)
async def create_batch(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    data: JSONBody[NewBatch],
) -> Response[Batch]:
    """Put up to 2,000 files in, all or none."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        document_ids = await attach(conn, caller, store, _files(data), embedder.window_tokens)
        batch_id = await batches.insert_batch(conn, store.space_id, store.id, document_ids)
        return _reply(await _find(conn, store, batch_id))


def _files(data: NewBatch) -> Sequence[NewStoreFile]:
    if (data.file_ids is None) is (data.files is None):
        raise Problem(HTTPStatus.BAD_REQUEST, "Give either file_ids or files.", param="file_ids")
    if data.files is not None:
        return data.files
    return [
        NewStoreFile(file_id=file_id, attributes=data.attributes, chunking_strategy=data.chunking_strategy)
        for file_id in data.file_ids or ()
    ]


@get(
    "/vector_stores/{vector_store_id:str}/file_batches/{batch_id:str}",
    responses=failures(404),
    summary="Get a batch",
)
async def retrieve_batch(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    vector_store_id: StoreParameter,
    batch_id: BatchParameter,
) -> Response[Batch]:
    """Return how far the files are that were put in together."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_store(conn, caller, vector_store_id)
        return _reply(await _find(conn, store, batch_id))


@post(
    "/vector_stores/{vector_store_id:str}/file_batches/{batch_id:str}/cancel",
    status_code=200,
    responses=failures(404),
    summary="Cancel a batch",
)
async def cancel_batch(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    vector_store_id: StoreParameter,
    batch_id: BatchParameter,
) -> Response[Batch]:
    """Leave out of the vector store what is not ready by now; the files themselves stay, and are read on."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        await _find(conn, store, batch_id)
        await batches.cancel_batch(conn, store.space_id, store.id, batch_id)
        return _reply(await _find(conn, store, batch_id))


@get(
    "/vector_stores/{vector_store_id:str}/file_batches/{batch_id:str}/files",
    responses=failures(404),
    summary="List the files of a batch",
)
async def list_batch_files(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    vector_store_id: StoreParameter,
    batch_id: BatchParameter,
    limit: Limit = 20,
    after: After = None,
    before: Before = None,
    order: Order = "desc",
    status: StatusFilter = None,
) -> CursorPage[StoreFile]:
    """Return the batch's files that are still in the vector store."""
    async with as_caller(pool, caller.subject) as conn:
        store = await find_store(conn, caller, vector_store_id)
        await _find(conn, store, batch_id)
        return await page_of_files(
            conn,
            store.space_id,
            store.id,
            batch_id,
            limit=limit,
            after=after,
            before=before,
            order=order,
            status=status,
            window_tokens=embedder.window_tokens,
        )


async def _find(conn: Conn, store: CollectionRow, batch_id: str) -> BatchRow:
    row = await batches.find_batch(conn, store.space_id, store.id, batch_id)
    if row is None:
        raise not_found("batch")
    return row


def _reply(row: BatchRow) -> Response[Batch]:
    headers = POLL_AFTER if row.in_progress else {}
    return Response(_to_batch(row), headers=headers)


def _to_batch(row: BatchRow) -> Batch:
    counts = to_counts(row.in_progress, row.completed, row.failed, row.cancelled)
    if row.cancelled_at is not None:
        status = "cancelled"
    elif row.in_progress:
        status = "in_progress"
    else:
        status = "failed" if row.failed and row.failed == counts.total else "completed"
    return Batch(
        id=row.id,
        object="vector_store.files_batch",
        created_at=to_seconds(row.created_at),
        vector_store_id=row.collection_id,
        status=status,  # type: ignore[arg-type]
        file_counts=counts,
    )


batch_routes = [create_batch, retrieve_batch, cancel_batch, list_batch_files]
