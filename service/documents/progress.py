"""Waiting for a document, and telling of its progress as it comes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from litestar.response import ServerSentEventMessage

from db.documents import DocumentRow, find_document
from db.events import Events
from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.documents.schemas import Progress

_FINISHED = ("ready", "failed")
# Notifications come at once; this is how long one that was lost with its connection can hold a reader up. It also
# keeps an idle event stream open through proxies that drop silent connections, commonly after 60 s, and ends it for a
# key that has been revoked.
_LOOK_ANYWAY_S = 15.0


async def wait_until_finished(
    pool: Pool, events: Events, caller: Caller, document_id: str, seconds: float
) -> DocumentRow | None:
    """Return the document when it is ready or failed, or as it is after so many seconds; None where it is gone."""
    deadline = time.monotonic() + seconds
    with events.watch(document_id) as changed:
        while True:
            changed.clear()
            row = await _look(pool, caller, document_id)
            left = deadline - time.monotonic()
            if row is None or row.status in _FINISHED or left <= 0 or events.closed:
                return row
            await _changed_within(changed, min(left, _LOOK_ANYWAY_S))


async def stream_progress(
    pool: Pool,
    events: Events,
    caller: Caller,
    document_id: str,
    still_valid: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield the document's state now and at every change, ending with ready, failed or deleted, or with the key."""
    last: Progress | None = None
    with events.watch(document_id) as changed:
        while True:
            changed.clear()
            row = await _look(pool, caller, document_id)
            # After the look: what came since the key was revoked is not to be sent with it.
            if not await still_valid():
                return
            if row is None:
                yield ServerSentEventMessage(event="deleted", data="{}")
                return
            state = Progress.from_row(row)
            if state != last:
                kind = row.status if row.status in _FINISHED else "progress"
                yield ServerSentEventMessage(event=kind, data=msgspec.json.encode(state).decode())
                last = state
            if row.status in _FINISHED or events.closed:
                return
            if not await _changed_within(changed, _LOOK_ANYWAY_S):
                yield ServerSentEventMessage(comment="still here")


async def _look(pool: Pool, caller: Caller, document_id: str) -> DocumentRow | None:
    async with as_caller(pool, caller.subject) as conn:
        return await find_document(conn, caller.spaces, document_id)


async def _changed_within(changed: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), timeout=seconds)
        return True
    return False
