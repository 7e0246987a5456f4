"""Executions while they run: waited for, and followed entry by entry."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from litestar.response import ServerSentEventMessage

from db import execution_history
from db.events import Events
from db.execution_history import ExecutionDetail
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.auth.caller import Caller
from service.executions.schemas import ExecutionWithData, LogEntry

# The end is told of at once; what happens in between is written down four times a second, and looked for as often.
_LOOK_S = 0.3
_LOOK_WHILE_WAITING_S = 5.0
_STILL_HERE_S = 15.0
_AT_ONCE = 200


async def wait_until_ended(
    pool: Pool, events: Events, caller: Caller, execution_id: str, seconds: float
) -> ExecutionDetail | None:
    """Return the execution when it has ended, or as it is after so many seconds; None where it is gone."""
    deadline = time.monotonic() + seconds
    with events.watch_execution(execution_id) as changed:
        while True:
            changed.clear()
            async with as_caller(pool, caller.subject) as conn:
                row = await execution_history.find_execution(conn, caller.spaces, execution_id)
            left = deadline - time.monotonic()
            if row is None or row.status != "RUNNING" or left <= 0 or events.closed:
                return row
            await _changed_within(changed, min(left, _LOOK_WHILE_WAITING_S))


async def follow(
    pool: Pool,
    events: Events,
    caller: Caller,
    execution_id: str,
    after: int,
    still_valid: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield each entry of the log as it comes, and the execution itself when it has ended, or with the key."""
    silent_since = time.monotonic()
    with events.watch_execution(execution_id) as changed:
        while True:
            changed.clear()
            async with as_caller(pool, caller.subject) as conn:
                row = await execution_history.find_execution(conn, caller.spaces, execution_id)
                if row is None:
                    yield ServerSentEventMessage(event="deleted", data="{}")
                    return
                async with as_service(conn):
                    entries = await execution_history.list_log(
                        conn, execution_id, after=after, limit=_AT_ONCE
                    )
            if not await still_valid():
                return
            for entry in entries:
                after = entry.place
                silent_since = time.monotonic()
                yield _message("log", LogEntry.from_row(entry), after)
            if len(entries) == _AT_ONCE:
                continue
            if row.status != "RUNNING":
                yield _message("ended", ExecutionWithData.from_detail(row, []), after)
                return
            if events.closed:
                return
            await _changed_within(changed, _LOOK_S)
            if time.monotonic() - silent_since > _STILL_HERE_S:
                silent_since = time.monotonic()
                yield ServerSentEventMessage(comment="still here")


def _message(kind: str, data: msgspec.Struct, place: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=kind, data=msgspec.json.encode(data).decode(), id=str(place))


async def _changed_within(changed: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), timeout=seconds)
