"""Events between processes: NOTIFY in the transaction that causes them, one LISTENing connection a process.

An event says that something changed, not what it is now: readers look that up in their own scope. They watch a
document or an execution by its id, or a person's notifications by the person's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from db.pool import Conn, Pool

DOCUMENT = "docsearch_document"
NOTIFICATION = "docsearch_notification"
"""Told of by a trigger (migration 0005), so that what the web application writes arrives as well."""
EXECUTION = "docsearch_execution"
"""As well (migration 0011): that an execution ended, or has an answer for its webhook."""

_CHANNELS = (DOCUMENT, NOTIFICATION, EXECUTION)


async def notify_document(conn: Conn, document_id: str) -> None:
    """Say that a document changed; delivered when conn's transaction commits."""
    await conn.execute("SELECT pg_notify($1, $2)", DOCUMENT, document_id)


class Events:
    """Fans the process's one listening connection out to whoever waits for something."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}
        self.closed = False
        """True once the process is on its way out: readers end instead of waiting on."""

    def close(self) -> None:
        """Send every reader home, so that open event streams do not hold a shutdown up."""
        self.closed = True
        self._wake_all()

    @contextlib.asynccontextmanager
    async def listen(self, pool: Pool) -> AsyncIterator["Events"]:
        """Hold one connection and listen on it until the block ends.

        A lost connection wakes everybody and is made anew: they look again, so nothing is missed.
        """
        stop = asyncio.Event()
        listening = asyncio.Event()
        task = asyncio.create_task(self._run(pool, stop, listening))
        waiter = asyncio.create_task(listening.wait())
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        try:
            yield self
        finally:
            stop.set()
            self._wake_all()
            await task

    async def _run(self, pool: Pool, stop: asyncio.Event, listening: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._hold(pool, stop, listening)
            except OSError:
                # The database is away; its readers find out by themselves.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), timeout=1.0)

    async def _hold(self, pool: Pool, stop: asyncio.Event, listening: asyncio.Event) -> None:
        lost = asyncio.Event()
        async with pool.acquire() as conn:
            on_lost: Callable[[Any], None] = lambda _: lost.set()  # noqa: E731
            conn.add_termination_listener(on_lost)
            for channel in _CHANNELS:
                await conn.add_listener(channel, self._on_notify)
            listening.set()
            self._wake_all()
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                if not conn.is_closed():
                    conn.remove_termination_listener(on_lost)
                    for channel in _CHANNELS:
                        await conn.remove_listener(channel, self._on_notify)

    def _on_notify(self, _conn: Any, _pid: int, channel: str, payload: object) -> None:
        for waiting in self._waiting.get((channel, str(payload)), ()):
            waiting.set()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    def watch(self, document_id: str) -> contextlib.AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever the document may have changed; the reader clears it."""
        return self._watch((DOCUMENT, document_id))

    def watch_notifications(self, user_id: str) -> contextlib.AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever the person may have a new notification; the reader clears it."""
        return self._watch((NOTIFICATION, user_id))

    def watch_execution(self, execution_id: str) -> contextlib.AbstractContextManager[asyncio.Event]:
        """Yield an event that is set whenever an execution may have ended or answered; the reader clears it."""
        return self._watch((EXECUTION, execution_id))

    @contextlib.contextmanager
    def _watch(self, key: tuple[str, str]) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            waiting = self._waiting[key]
            waiting.discard(event)
            if not waiting:
                del self._waiting[key]
