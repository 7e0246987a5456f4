"""/v1/files: documents as OpenAI's clients see them. A file is a document, whatever way it came."""

import math
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream

from db import documents, files
from db.files import FileRow
from db.pool import Pool
from db.tenancy import as_caller
from ingest.errors import FileTooLarge
from ingest.originals import Originals
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.intake.content import stream_original
from service.intake.intake import Intake, register, take_file
from service.intake.receiving import LARGE_BODY_BYTES, require_room
from service.intake.removing import remove_document
from service.intake.uploads import Upload
from service.openai_api.errors import failures
from service.openai_api.ids import to_document_id, to_file_id
from service.openai_api.lists import After, CursorPage, Order, no_place, to_page
from service.openai_api.openapi import FileOperation
from service.openai_api.schemas import Deleted, File
from service.settings import Settings

# What the others are for there is no interface here: batches, fine-tuning, vision, evaluations.
PURPOSES = ("assistants", "user_data")
EXPIRES_AFTER_S = range(3600, 2_592_000 + 1)

FileParameter = Annotated[str, PathParameter(description="The file's id.", max_length=200)]
Team = Annotated[
    str | None,
    HeaderParameter(
        name="X-Docsearch-Team", max_length=100, description="The team it is to belong to; unset: you."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeat with the same key within a day returns the first one's file.",
    ),
]


@post(
    "/files",
    status_code=200,
    operation_class=FileOperation,
    responses=failures(402, 404, 409, 413),
    request_max_body_size=None,  # the limit is MAX_UPLOAD_BYTES, counted as the body streams in
    summary="Upload a file",
)
async def create_file(
    request: Request[Any, Caller, Any],
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    deployment: NamedDependency[Settings],
    team: Team = None,
    idempotency_key: IdempotencyKey = None,
) -> File:
    """Take a file in multipart, queue it for ingestion and answer at once."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise Problem(HTTPStatus.BAD_REQUEST, "Send the file as multipart/form-data, in the part `file`.")
    if (request.content_length or 0) > deployment.max_upload_bytes + LARGE_BODY_BYTES:
        raise FileTooLarge(deployment.max_upload_bytes)
    await require_room(pool, caller, request.content_length or 0)
    read = partial(_read_upload, team or None)
    intake = await take_file(request.stream(), content_type, originals, deployment.max_upload_bytes, read)
    document_id = await register(
        pool, originals, caller, intake, idempotency_key, is_priced=deployment.embedding_price_per_million > 0
    )
    return to_file(await find_file(pool, caller, to_file_id(document_id)))


def _read_upload(team_id: str | None, document_id: str, upload: Upload) -> Intake:
    if upload.file is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The multipart body has no part named file.", param="file")
    known = {"purpose", "expires_after[anchor]", "expires_after[seconds]"}
    if unknown := sorted(upload.fields.keys() - known):
        raise Problem(HTTPStatus.BAD_REQUEST, f"Unknown field: {', '.join(unknown)}.", param=unknown[0])
    purpose = upload.fields.get("purpose")
    if purpose not in PURPOSES:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"purpose: {' or '.join(PURPOSES)}. Nothing here would use a file of any other.",
            param="purpose",
        )
    return Intake(
        document_id=document_id,
        file=upload.file,
        title=upload.file.filename or "",
        metadata=None,
        team_id=team_id,
        source_type="file",
        source_url=None,
        purpose=purpose,
        expires_after_s=_expires_after_s(upload.fields),
    )


def _expires_after_s(fields: dict[str, str]) -> int | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "expires_after[anchor]: has to be created_at.",
            param="expires_after[anchor]",
        )
    if seconds is None or not seconds.isdecimal() or int(seconds[:10]) not in EXPIRES_AFTER_S:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"expires_after[seconds]: from {EXPIRES_AFTER_S.start} to {EXPIRES_AFTER_S.stop - 1}.",
            param="expires_after[seconds]",
        )
    return int(seconds)


@get("/files", responses=failures(), summary="List files")
async def list_files(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Annotated[int, QueryParameter(ge=1, le=10_000, description="How many to return.")] = 10_000,
    after: After = None,
    order: Order = "desc",
    purpose: Annotated[str | None, QueryParameter(max_length=100, description="Only those for this.")] = None,
) -> CursorPage[File]:
    """Return the caller's documents and their teams', whatever way they came."""
    async with as_caller(pool, caller.subject) as conn:
        place = None if after is None else await files.find_file(conn, caller.spaces, to_document_id(after))
        if after is not None and place is None:
            raise no_place("after")
        rows = await files.list_files(
            conn, caller.spaces, limit=limit + 1, newest_first=order == "desc", after=place, purpose=purpose
        )
    return to_page(rows, limit, to_file, lambda file: file.id)


@get("/files/{file_id:str}", responses=failures(404), summary="Get a file")
async def retrieve_file(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], file_id: FileParameter
) -> File:
    """Return the file and where its ingestion stands."""
    return to_file(await find_file(pool, caller, file_id))


@get(
    "/files/{file_id:str}/content",
    responses=failures(404),
    media_type="application/octet-stream",
    summary="Download a file",
)
async def retrieve_content(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    file_id: FileParameter,
) -> Stream:
    """Return the bytes that were uploaded, as an attachment."""
    document_id = to_document_id(file_id)
    async with as_caller(pool, caller.subject) as conn:
        original = await documents.find_original(conn, caller.spaces, document_id)
    if original is None:
        raise not_found("file")
    return await stream_original(originals, original, document_id)


@delete("/files/{file_id:str}", status_code=200, responses=failures(404), summary="Delete a file")
async def delete_file(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    originals: NamedDependency[Originals],
    file_id: FileParameter,
) -> Deleted:
    """Remove the file everywhere: from every vector store and from search at once, its bytes for good."""
    async with as_caller(pool, caller.subject) as conn:
        row = await documents.find_document(conn, caller.spaces, to_document_id(file_id))
    if row is None:
        raise not_found("file")
    if row.team_id is not None:
        caller.require("documents:write", row.team_id)
    await remove_document(pool, originals, caller, row)
    return Deleted(id=file_id, object="file", deleted=True)


async def find_file(pool: Pool, caller: Caller, file_id: str) -> FileRow:
    async with as_caller(pool, caller.subject) as conn:
        row = await files.find_file(conn, caller.spaces, to_document_id(file_id))
    if row is None:
        raise not_found("file")
    return row


def to_file(row: FileRow) -> File:
    return File(
        id=to_file_id(row.document_id),
        object="file",
        bytes=row.size_bytes,
        created_at=to_seconds(row.created_at),
        expires_at=None if row.expires_at is None else to_seconds(row.expires_at),
        filename=row.filename,
        purpose=row.purpose,
        status=_status(row),
        status_details=row.error_detail if row.status == "failed" else None,
    )


def _status(row: FileRow) -> Literal["uploaded", "processed", "error"]:
    match row.status:
        case "ready":
            return "processed"
        case "failed":
            return "error"
        case _:
            return "uploaded"


def to_seconds(moment: datetime) -> int:
    return math.floor(moment.timestamp())


file_routes = [create_file, list_files, retrieve_file, retrieve_content, delete_file]
