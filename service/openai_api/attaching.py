"""Putting files into a vector store, in one transaction with whatever has to be cut anew for it."""

from collections.abc import Sequence
from http import HTTPStatus

from db import chunkings, jobs, members
from db.chunkings import Chunking
from db.collections import CollectionRow, hold_collection, touch_collections
from db.events import notify_document
from db.members import NewMember
from db.pool import Conn
from db.tenancy import as_service
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openai_api.chunking import to_cut
from service.openai_api.ids import to_document_id, to_file_id
from service.openai_api.schemas import NewStoreFile
from service.searching import expired


async def attach(
    conn: Conn, caller: Caller, store: CollectionRow, wanted: Sequence[NewStoreFile], window_tokens: int
) -> list[str]:
    """Put files into a store that the caller may change, and return the ids of their documents.

    Raises 404 for a file that is not the caller's, 400 for one of another team, and for one that would have to be cut
    in two ways at once. A file that is named twice counts once, as it is named last.
    """
    if store.is_expired:
        raise expired(store.id)
    if not await hold_collection(conn, store.space_id, store.id):
        raise not_found("vector store")
    new = {member.document_id: member for member in (_member(file, window_tokens) for file in wanted)}
    await _require_files(conn, caller, store, list(new))
    put_in = await members.insert_members(conn, store.space_id, store.id, list(new.values()))
    if gone := new.keys() - put_in:
        raise _no_file(min(gone))
    await _cut_anew(conn, store, [member for member in new.values() if member.chunk_tokens is not None])
    async with as_service(conn):
        await touch_collections(conn, [store.space_id], [store.id])
    return list(new)


def _member(file: NewStoreFile, window_tokens: int) -> NewMember:
    cut = to_cut(file.chunking_strategy, window_tokens)
    return NewMember(
        document_id=to_document_id(file.file_id),
        attributes=storable(file.attributes),
        chunk_tokens=None if cut is None else cut.tokens,
        chunk_overlap=None if cut is None else cut.overlap,
    )


def storable(
    pairs: "dict[str, str] | dict[str, str | bool | int | float] | None",
) -> "dict[str, object] | None":
    """Return metadata or attributes as PostgreSQL can hold them. Raises 400."""
    if pairs is None:
        return None
    if any("\x00" in text for pair in pairs.items() for text in pair if isinstance(text, str)):
        raise Problem(HTTPStatus.BAD_REQUEST, "A key or a value holds a NUL character.")
    return dict(pairs)


async def _require_files(
    conn: Conn, caller: Caller, store: CollectionRow, document_ids: Sequence[str]
) -> None:
    spaces = await members.find_document_spaces(conn, caller.spaces, document_ids)
    for document_id in document_ids:
        space_id = spaces.get(document_id)
        if space_id is None:
            raise _no_file(document_id)
        if space_id != store.space_id:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"{to_file_id(document_id)} and the vector store do not belong to the same team or person: upload it "
                "to where the store is (X-Docsearch-Team), or share it there.",
                param="file_id",
            )


def _no_file(document_id: str) -> Problem:
    problem = not_found(f"file as {to_file_id(document_id)}" if document_id else "file")
    problem.extra = {"param": "file_id"}
    return problem


async def _cut_anew(conn: Conn, store: CollectionRow, asked: Sequence[NewMember]) -> None:
    """Have documents cut as is asked for, where they are not, and no other store has asked for something else."""
    if not asked:
        return
    ids = [member.document_id for member in asked]
    current = await chunkings.lock_ingestions(conn, store.space_id, ids)
    elsewhere = await chunkings.wanted_elsewhere(conn, store.space_id, store.id, ids)
    for member in asked:
        wanted = Chunking(member.chunk_tokens or 0, member.chunk_overlap or 0)
        if any(other != wanted for other in elsewhere.get(member.document_id, [])):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"{to_file_id(member.document_id)} is in another vector store that wants it cut into chunks of another "
                "size, and a file is cut in one way: upload it again for this one, or leave chunking_strategy out.",
                param="chunking_strategy",
                code="chunking_conflict",
            )
        if member.document_id in current and current[member.document_id][1] != wanted:
            await _set_chunking(conn, store.space_id, member.document_id, wanted)


async def _set_chunking(conn: Conn, space_id: str, document_id: str, wanted: Chunking) -> None:
    if await chunkings.set_chunking(conn, space_id, document_id, wanted):
        async with as_service(conn):
            await jobs.enqueue_ingestion(conn, document_id)
    await notify_document(conn, document_id)
