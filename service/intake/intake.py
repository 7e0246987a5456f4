"""From a request to a queued document: what was sent, who may put it where, and the rows it becomes."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from db import documents, files, idempotency, jobs
from db.budgets import require_room
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from db.usage import UsageEntry, insert_usage
from ingest.fetch import check_url
from ingest.originals import Originals
from ingest.receive import StoredFile, clean_filename, storage_key, store_file
from ingest.store import to_original
from service.auth.caller import Caller
from service.budgets import subjects_of
from service.errors import Problem
from service.intake.schemas import NewText, NewUrl, SourceUrl, Title
from service.intake.uploads import Upload, receive_multipart
from service.text import one_line

# Metadata is filtered on and returned with every hit: a few fields, not a second document.
MAX_METADATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Intake:
    """A document that has been received but not yet written down."""

    document_id: str
    file: StoredFile | None
    """None for a document that the worker is to fetch from source_url."""
    title: str
    metadata: dict[str, Any] | None
    team_id: str | None
    source_type: str
    source_url: str | None
    purpose: str | None = None
    """What a file was uploaded for; None where nobody was asked."""
    expires_after_s: int | None = None
    """Seconds after which it goes by itself; only with a purpose."""

    def request_hash(self) -> bytes:
        """Return what makes two requests the same request, for Idempotency-Key."""
        digest = None if self.file is None else self.file.sha256.hex()
        parts: list[Any] = [digest, self.title, self.metadata, self.team_id, self.source_url]
        if self.purpose is not None:
            parts += [self.purpose, self.expires_after_s]
        return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()


async def take_file(
    body: AsyncIterator[bytes],
    content_type: str,
    originals: Originals,
    max_bytes: int,
    read: Callable[[str, Upload], Intake] | None = None,
) -> Intake:
    """Receive a multipart upload. Raises Problem; nothing is left in the store when it does.

    read makes the document of a new id and what came; unset: the fields of POST /v1/documents.
    """
    document_id = str(uuid.uuid4())
    key = storage_key(document_id)
    upload = await receive_multipart(body, content_type, originals, key, max_bytes)
    try:
        return (read or _from_upload)(document_id, upload)
    except Exception:
        await originals.delete(key)
        raise


def _from_upload(document_id: str, upload: Upload) -> Intake:
    if upload.file is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The multipart body has no part named file.")
    unknown = upload.fields.keys() - {"title", "metadata", "team_id", "source_url"}
    if unknown:
        raise Problem(HTTPStatus.BAD_REQUEST, f"Unknown field: {', '.join(sorted(unknown))}.")
    title = _typed(upload.fields.get("title") or None, Title, "title")
    return Intake(
        document_id=document_id,
        file=upload.file,
        title=one_line(title, "title") if title else upload.file.filename or "",
        metadata=_metadata(upload.fields.get("metadata")),
        team_id=upload.fields.get("team_id") or None,
        source_type="file",
        source_url=_printable(_typed(upload.fields.get("source_url") or None, SourceUrl, "source_url")),
    )


def _typed(value: str | None, kind: Any, name: str) -> str | None:
    if value is None:
        return None
    try:
        text: str = msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name}: {exc}") from exc
    return text


def _printable(source_url: str | None) -> str | None:
    if source_url is not None and not source_url.isprintable():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "source_url: holds a control character.")
    return source_url


def _metadata(raw: str | None) -> dict[str, Any] | None:
    if not raw:
        return None
    try:
        metadata = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, f"metadata: must be a JSON object ({exc}).") from exc
    return checked_metadata(metadata)


def checked_metadata(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return metadata as PostgreSQL can hold it. Raises Problem where it is too large."""
    if metadata is None:
        return None
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > MAX_METADATA_BYTES:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "metadata: more than 64 KiB of JSON.")
    if b"\\u0000" in encoded:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "metadata: holds a NUL character.")
    return metadata


async def take_text(
    new: NewText, originals: Originals, max_bytes: int, document_id: str | None = None
) -> Intake:
    """Receive a document given as text; it is kept as an original like any file. Unset, its id is a new one."""
    document_id = document_id or str(uuid.uuid4())
    title, metadata, source_url = (
        one_line(new.title, "title"),
        checked_metadata(new.metadata),
        _printable(new.source_url),
    )
    file = await store_file(
        originals,
        storage_key(document_id),
        _once(new.content.encode("utf-8", errors="replace")),
        filename=clean_filename(title.replace("/", "-")[:200] + ".txt"),
        declared="text/plain",
        max_bytes=max_bytes,
    )
    return Intake(document_id, file, title, metadata, new.team_id, "text", source_url)


def take_url(new: NewUrl, document_id: str | None = None) -> Intake:
    """Receive an address; the worker fetches it. Raises FetchRefused for what is no http or https URL."""
    url = _printable(new.url) or ""
    check_url(url)
    return Intake(
        document_id=document_id or str(uuid.uuid4()),
        file=None,
        title=one_line(new.title, "title") if new.title else url,
        metadata=checked_metadata(new.metadata),
        team_id=new.team_id,
        source_type="url",
        source_url=url,
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def register(
    pool: Pool,
    originals: Originals,
    caller: Caller,
    intake: Intake,
    idempotency_key: str | None,
    *,
    is_priced: bool = False,
) -> str:
    """Write document, original, ingestion and job in one transaction; return the document's id.

    A repeat under the same Idempotency-Key returns the first one's id and drops the second copy of the bytes.
    Where embedding has a price, raises BudgetReached when a budget is used up; what it will cost is known only then.
    """
    try:
        document_id = await _register(pool, caller, intake, idempotency_key, is_priced)
    except BaseException:
        await _drop_file(originals, intake)
        raise
    if document_id != intake.document_id:
        await _drop_file(originals, intake)
    return document_id


async def _drop_file(originals: Originals, intake: Intake) -> None:
    if intake.file is not None:
        await originals.delete(intake.file.storage_key)


async def _register(
    pool: Pool, caller: Caller, intake: Intake, idempotency_key: str | None, is_priced: bool
) -> str:
    if intake.team_id is not None:
        caller.require("documents:write", intake.team_id)
    async with as_caller(pool, caller.subject) as conn:
        if idempotency_key is not None:
            holder, request_hash = await idempotency.claim_key(
                conn, caller.user_id, idempotency_key, intake.request_hash(), intake.document_id
            )
            if holder != intake.document_id:
                if request_hash != intake.request_hash():
                    raise Problem(
                        HTTPStatus.CONFLICT, "This Idempotency-Key was used for another request within a day."
                    )
                return holder
        if is_priced:
            async with as_service(conn):
                await require_room(conn, subjects_of(caller, intake.team_id))
        await insert_intake(conn, caller.user_id, intake)
        async with as_service(conn):
            await jobs.enqueue_ingestion(conn, intake.document_id)
            await insert_usage(conn, [_usage(caller, intake)])
    return intake.document_id


def _usage(caller: Caller, intake: Intake) -> UsageEntry:
    return UsageEntry(
        user_id=caller.user_id,
        team_id=intake.team_id,
        key_id=caller.key_id,
        resource="document",
        resource_id=intake.document_id,
        action="upload",
        size_bytes=None if intake.file is None else intake.file.size_bytes,
    )


async def insert_intake(conn: Conn, user_id: str, intake: Intake) -> None:
    """Write what was received as a document with a queued ingestion, in conn's transaction."""
    space_id = await documents.insert_document(
        conn,
        document_id=intake.document_id,
        user_id=user_id,
        team_id=intake.team_id,
        title=intake.title,
        metadata=intake.metadata,
        source_type=intake.source_type,
        source_url=intake.source_url,
    )
    if intake.file is not None:
        await documents.insert_original(conn, space_id, intake.document_id, to_original(intake.file))
    if intake.purpose is not None:
        await files.insert_file(
            conn, space_id, intake.document_id, purpose=intake.purpose, expires_after_s=intake.expires_after_s
        )
