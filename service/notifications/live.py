"""Notifications as they come: server-sent events, which a reader that was cut off takes up where it was."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from litestar.response import ServerSentEventMessage

from db import notifications
from db.events import Events
from db.notifications import Cursor
from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.cursors import encode_cursor
from service.notifications.schemas import Notification, UnreadCount

# A lost NOTIFY is made good after this long, proxies are kept from dropping the connection, and a key that has been
# revoked stops being listened for.
_LOOK_ANYWAY_S = 15.0
_AT_ONCE = 100


async def stream_notifications(
    pool: Pool,
    events: Events,
    caller: Caller,
    after: Cursor | None,
    still_valid: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield how many are unread, then every notification that comes after a place in the list, or from now on."""
    with events.watch_notifications(caller.user_id) as changed:
        async with as_caller(pool, caller.subject) as conn:
            place = after or await notifications.newest(conn, caller.user_id)
            unread = await notifications.count_unread(conn, caller.user_id)
        yield ServerSentEventMessage(
            event="unread",
            data=msgspec.json.encode(UnreadCount(unread=unread)).decode(),
            id=encode_cursor(place),
        )
        while not events.closed and await still_valid():
            changed.clear()
            async with as_caller(pool, caller.subject) as conn:
                rows = await notifications.list_since(conn, caller.user_id, place, limit=_AT_ONCE)
            for row in rows:
                place = Cursor(row.created_at, row.id)
                yield ServerSentEventMessage(
                    event="notification",
                    data=msgspec.json.encode(Notification.from_row(row)).decode(),
                    id=encode_cursor(place),
                )
            if len(rows) < _AT_ONCE and not await _changed_within(changed, _LOOK_ANYWAY_S):
                yield ServerSentEventMessage(comment="still here")


async def _changed_within(changed: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), timeout=seconds)
        return True
    return False
