"""/v1/notifications: list, count, mark read, delete, and hear of new ones as they come."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.response import ServerSentEvent

from db import notifications
from db.events import Events
from db.notifications import Cursor, Place
from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.auth.guard import is_still_valid
from service.cursors import decode_cursor, encode_cursor
from service.errors import Problem, not_found
from service.notifications.live import stream_notifications
from service.notifications.schemas import MarkedRead, Notification, UnreadCount
from service.openapi import problems
from service.schemas import Page

NotificationId = Annotated[str, PathParameter(description="The notification's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID", max_length=500, description="The id of the last event that was received."
    ),
]


@get("/", responses=problems(), summary="List notifications")
async def list_notifications(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    unread: Annotated[bool, QueryParameter(description="Only those that have not been read.")] = False,
) -> Page[Notification]:
    """Return the caller's notifications, newest first."""
    before = decode_cursor(after, Cursor)
    async with as_caller(pool, caller.subject) as conn:
        rows = await notifications.list_notifications(
            conn, caller.user_id, limit=limit + 1, before=before, unread=unread
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Notification.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/unread-count", responses=problems(), summary="Count unread notifications")
async def count_unread(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> UnreadCount:
    """Return how many of the caller's notifications have not been read."""
    async with as_caller(pool, caller.subject) as conn:
        return UnreadCount(unread=await notifications.count_unread(conn, caller.user_id))


@get("/events", responses=problems(), media_type="text/event-stream", summary="Follow notifications")
async def follow_notifications(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    state: State,
    last_event_id: LastEventId = None,
) -> ServerSentEvent:
    """Send how many are unread, then each new notification as it comes, for as long as the key is valid."""
    after = _place(last_event_id)
    valid = partial(is_still_valid, state, caller)
    return ServerSentEvent(stream_notifications(pool, event_feed, caller, after, valid))


def _place(last_event_id: str | None) -> Place | None:
    place = decode_cursor(last_event_id, Place)
    try:
        if place is not None:
            place.check()
    except ValueError as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, "Last-Event-ID: not an id of this stream.") from exc
    return place


@post("/read-all", status_code=200, responses=problems(), summary="Mark all as read")
async def mark_all_read(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> MarkedRead:
    """Mark everything as read."""
    async with as_caller(pool, caller.subject) as conn:
        return MarkedRead(marked=await notifications.mark_all_read(conn, caller.user_id))


@post("/{notification_id:str}/read", status_code=200, responses=problems(404), summary="Mark one as read")
async def mark_read(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], notification_id: NotificationId
) -> Notification:
    """Mark a notification as read; a repeat changes nothing."""
    async with as_caller(pool, caller.subject) as conn:
        row = await notifications.mark_read(conn, caller.user_id, notification_id)
    if row is None:
        raise not_found("notification")
    return Notification.from_row(row)


@delete("/{notification_id:str}", responses=problems(404), summary="Delete a notification")
async def delete_notification(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], notification_id: NotificationId
) -> None:
    """Delete a notification for good."""
    async with as_caller(pool, caller.subject) as conn:
        if not await notifications.delete_notification(conn, caller.user_id, notification_id):
            raise not_found("notification")


notifications_router = Router(
    "/v1/notifications",
    tags=["notifications"],
    route_handlers=[
        list_notifications,
        count_unread,
        follow_notifications,
        mark_all_read,
        mark_read,
        delete_notification,
    ],
)
