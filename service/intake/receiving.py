"""From the body of a request to what was received: a file as multipart, a text or an address as JSON."""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request

from db import plans
from db.errors import PlanFacts
from db.pool import Pool
from db.tenancy import as_caller
from ingest.errors import FileTooLarge
from ingest.originals import Originals
from service.auth.caller import Caller
from service.errors import Problem, plan_limit_reached
from service.intake.intake import Intake, take_file, take_text, take_url
from service.intake.schemas import NewText, NewUrl

# Framing and fields of an upload, at most: what is beyond it is the file.
LARGE_BODY_BYTES = 1024 * 1024


async def require_room(pool: Pool, caller: Caller, size_bytes: int) -> None:
    """Refuse a large body before it is read, where it fits nowhere: whose it will be stands in it."""
    file_bytes = size_bytes - LARGE_BODY_BYTES
    if file_bytes <= 0:
        return
    async with as_caller(pool, caller.subject) as conn:
        if await plans.has_room(conn, caller.writable_spaces, file_bytes):
            return
        plan = await plans.find_user_plan(conn, caller.user_id)
    if plan is not None and plan.storage_limit is not None:
        raise plan_limit_reached(
            PlanFacts(
                resource="storage",
                tier=plan.effective_tier,
                used=plan.storage_used,
                limit=plan.storage_limit,
                resets_at=None,
            )
        )


async def receive(request: Request[Any, Any, Any], originals: Originals, max_bytes: int) -> Intake:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    # A body that says it is too large is refused before it is read; framing and fields get a mebibyte.
    if (request.content_length or 0) > max_bytes + LARGE_BODY_BYTES:
        raise FileTooLarge(max_bytes)
    if kind == "multipart/form-data":
        return await take_file(request.stream(), content_type, originals, max_bytes)
    if kind == "application/json":
        return await _take_json(await _read_body(request, max_bytes), originals, max_bytes)
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Send the file as multipart/form-data (part `file`), or application/json: {title, content} or {url}.",
    )


async def _read_body(request: Request[Any, Any, Any], max_bytes: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes + LARGE_BODY_BYTES:
            raise FileTooLarge(max_bytes)
    return bytes(body)


async def _take_json(body: bytes, originals: Originals, max_bytes: int) -> Intake:
    try:
        names = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "url" in names:
            return take_url(msgspec.json.decode(body, type=NewUrl))
        new = msgspec.json.decode(body, type=NewText)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The JSON body does not fit: {exc}.") from exc
    return await take_text(new, originals, max_bytes)
