"""/v1/vector_stores: collections as OpenAI's clients see them."""

import re
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import collections
from db.collections import STORE_PREFIX, CollectionRow
from db.pool import Conn, Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openai_api.attaching import attach, storable
from service.openai_api.errors import failures
from service.openai_api.files import Team, to_seconds
from service.openai_api.lists import After, Before, CursorPage, Limit, Order, no_place, to_page
from service.openai_api.schemas import (
    Deleted,
    FileCounts,
    NewStoreFile,
    NewVectorStore,
    VectorStore,
    VectorStorePatch,
)
from service.providers import EmbeddingProvider
from service.text import one_line

StoreParameter = Annotated[str, PathParameter(description="The vector store's id.", max_length=200)]

_ID = re.compile(STORE_PREFIX + "[0-9a-f]{32}")


@post("/vector_stores", status_code=200, responses=failures(404), summary="Make a vector store")
async def create_store(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    data: JSONBody[NewVectorStore],
    team: Team = None,
) -> VectorStore:
    """Make a vector store, empty or of files that are there."""
    team_id = team or None
    if team_id is not None:
        caller.require("documents:write", team_id)
    if data.chunking_strategy is not None and not data.file_ids:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "chunking_strategy: only with file_ids; a file that is put in later brings its own.",
            param="chunking_strategy",
        )
    files = [
        NewStoreFile(file_id=file_id, chunking_strategy=data.chunking_strategy)
        for file_id in data.file_ids or ()
    ]
    async with as_caller(pool, caller.subject) as conn:
        store_id = await collections.insert_collection(
            conn,
            user_id=caller.user_id,
            team_id=team_id,
            name=_line(data.name, "name"),
            description=_line(data.description, "description"),
            metadata=storable(data.metadata),
            expires_after_days=None if data.expires_after is None else data.expires_after.days,
        )
        store = await find_store(conn, caller, store_id)
        if files:
            await attach(conn, caller, store, files, embedder.window_tokens)
            store = await find_store(conn, caller, store_id)
    return to_store(store)


@get("/vector_stores", responses=failures(), summary="List vector stores")
async def list_stores(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 20,
    after: After = None,
    before: Before = None,
    order: Order = "desc",
) -> CursorPage[VectorStore]:
    """Return the caller's vector stores and their teams'."""
    for name, place in (("after", after), ("before", before)):
        if place is not None and not _ID.fullmatch(place):
            raise no_place(name)
    async with as_caller(pool, caller.subject) as conn:
        rows = await collections.list_collections(
            conn,
            caller.spaces,
            limit=limit + 1,
            newest_first=order == "desc",
            after=after,
            before=before,
        )
    return to_page(
        rows, limit, to_store, lambda store: store.id, backwards=before is not None and after is None
    )


@get("/vector_stores/{vector_store_id:str}", responses=failures(404), summary="Get a vector store")
async def retrieve_store(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], vector_store_id: StoreParameter
) -> VectorStore:
    """Return the vector store, and how many of its files can be searched."""
    async with as_caller(pool, caller.subject) as conn:
        return to_store(await find_store(conn, caller, vector_store_id))


@post(
    "/vector_stores/{vector_store_id:str}",
    status_code=200,
    responses=failures(404),
    summary="Change a vector store",
)
async def update_store(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    vector_store_id: StoreParameter,
    data: JSONBody[VectorStorePatch],
) -> VectorStore:
    """Change name, metadata or expiry. One that has expired lives again with another expiry."""
    name = None if data.name is msgspec.UNSET else data.name
    metadata = None if data.metadata is msgspec.UNSET else data.metadata
    expiry = None if data.expires_after is msgspec.UNSET else data.expires_after
    async with as_caller(pool, caller.subject) as conn:
        store = await find_writable_store(conn, caller, vector_store_id)
        changed = await collections.update_collection(
            conn,
            caller.writable_spaces,
            store.id,
            set_name=data.name is not msgspec.UNSET,
            name=_line(name, "name"),
            set_metadata=data.metadata is not msgspec.UNSET,
            metadata=storable(metadata),
            set_expiry=data.expires_after is not msgspec.UNSET,
            expires_after_days=None if expiry is None else expiry.days,
        )
        if not changed:
            raise not_found("vector store")
        return to_store(await find_store(conn, caller, store.id))


@delete(
    "/vector_stores/{vector_store_id:str}",
    status_code=200,
    responses=failures(404),
    summary="Delete a vector store",
)
async def delete_store(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], vector_store_id: StoreParameter
) -> Deleted:
    """Delete the vector store; its files stay."""
    async with as_caller(pool, caller.subject) as conn:
        await find_writable_store(conn, caller, vector_store_id)
        if not await collections.delete_collection(conn, caller.writable_spaces, vector_store_id):
            raise not_found("vector store")
    return Deleted(id=vector_store_id, object="vector_store.deleted", deleted=True)


async def find_store(conn: Conn, caller: Caller, store_id: str) -> CollectionRow:
    row = await collections.find_collection(conn, caller.spaces, store_id)
    if row is None:
        raise not_found("vector store")
    return row


async def find_writable_store(conn: Conn, caller: Caller, store_id: str) -> CollectionRow:
    row = await find_store(conn, caller, store_id)
    if row.team_id is not None:
        caller.require("documents:write", row.team_id)
    return row


def _line(text: str | None, field: str) -> str | None:
    return one_line(text, field) if text else text


def to_store(row: CollectionRow) -> VectorStore:
    status = "expired" if row.is_expired else "in_progress" if row.in_progress else "completed"
    days = row.expires_after_days
    return VectorStore(
        id=row.id,
        object="vector_store",
        created_at=to_seconds(row.created_at),
        name=row.name,
        description=row.description,
        usage_bytes=row.usage_bytes,
        file_counts=to_counts(row.in_progress, row.completed, row.failed, row.cancelled),
        status=status,  # type: ignore[arg-type]
        expires_after=None if days is None else {"anchor": "last_active_at", "days": days},
        expires_at=None if row.expires_at is None else to_seconds(row.expires_at),
        last_active_at=to_seconds(row.last_active_at),
        metadata=row.metadata,
        team_id=row.team_id,
    )


def to_counts(in_progress: int, completed: int, failed: int, cancelled: int) -> FileCounts:
    return FileCounts(
        in_progress=in_progress,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        total=in_progress + completed + failed + cancelled,
    )


store_routes = [create_store, list_stores, retrieve_store, update_store, delete_store]
