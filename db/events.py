"""Document events between processes: NOTIFY in the transaction that causes them, one LISTEN a process.

An event says that a document changed, not what it is now: readers look that up in their own scope.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from db.pool import Conn, Pool

CHANNEL = "docsearch_document"


async def notify_document(conn: Conn, document_id: str) -> None:
    """Say that a document changed; delivered when conn's transaction commits."""
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, document_id)


class DocumentEvents:
    """Fans the process's one listening connection out to whoever waits for a document."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.closed = False
        """True once the process is on its way out: readers end instead of waiting on."""

    def close(self) -> None:
        """Send every reader home, so that open event streams do not hold a shutdown up."""
        self.closed = True
        self._wake_all()

    @contextlib.asynccontextmanager
    async def listen(self, pool: Pool) -> AsyncIterator["DocumentEvents"]:
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
            await conn.add_listener(CHANNEL, self._on_notify)
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
                    await conn.remove_listener(CHANNEL, self._on_notify)

    def _on_notify(self, _conn: Any, _pid: int, _channel: str, payload: object) -> None:
        for waiting in self._waiting.get(str(payload), ()):
            waiting.set()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    @contextlib.contextmanager
    def watch(self, document_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the document may have changed; the reader clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(document_id, set()).add(event)
        try:
            yield event
        finally:
            waiting = self._waiting[document_id]
            waiting.discard(event)
            if not waiting:
                del self._waiting[document_id]
