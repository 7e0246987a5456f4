"""Notifications as they come: server-sent events, which a reader that was cut off takes up where it was."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from litestar.response import ServerSentEventMessage

from db import notifications
from db.events import Events
from db.notifications import Place
from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.cursors import encode_cursor
from service.notifications.schemas import Notification, UnreadCount

# A lost NOTIFY is made good after this long, proxies are kept from dropping the connection, and a key that has been
# revoked stops being listened for.
_LOOK_ANYWAY_S = 15.0


async def stream_notifications(
    pool: Pool,
    events: Events,
    caller: Caller,
    after: Place | None,
    still_valid: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield how many are unread, then every notification that a place could not see yet, or that comes from now on."""
    with events.watch_notifications(caller.user_id) as changed:
        async with as_caller(pool, caller.subject) as conn:
            place = after or (await notifications.list_unseen(conn, caller.user_id, None))[1]
            unread = await notifications.count_unread(conn, caller.user_id)
        yield _event("unread", UnreadCount(unread=unread), place)
        while not events.closed:
            changed.clear()
            async with as_caller(pool, caller.subject) as conn:
                rows, here = await notifications.list_unseen(conn, caller.user_id, place)
            # After the look: what was written since the key was revoked is not to be sent with it.
            if not await still_valid():
                return
            for row in rows:
                # Only the last one moves on: who is cut off before it gets the others again, and not fewer.
                place = here if row is rows[-1] else place
                yield _event("notification", Notification.from_row(row), place)
            place = here
            if not await _changed_within(changed, _LOOK_ANYWAY_S):
                yield ServerSentEventMessage(comment="still here")


def _event(kind: str, data: msgspec.Struct, place: Place) -> ServerSentEventMessage:
    return ServerSentEventMessage(
        event=kind, data=msgspec.json.encode(data).decode(), id=encode_cursor(place)
    )


async def _changed_within(changed: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), timeout=seconds)
        return True
    return False
