"""Usage, written down off the hot path and without loss.

A request records what it is charged for as soon as that is known, goes on with its work, and waits for the record
only before it replies: nothing is answered that was not written down. Records of requests that overlap share a write,
as databases do with commits: whatever comes while one write is under way goes with the next. Nobody waits for a
timer: a record that comes alone is written at once.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence

from db.pool import Pool
from db.usage import UsageEntry, insert_usage

# Of one write. More in one statement is no faster, and holds its connection longer.
MAX_BATCH = 1_000


class UsageRecorder:
    """Writes entries in batches, one write at a time. It belongs to the event loop that it is used in."""

    def __init__(self, write: Callable[[Sequence[UsageEntry]], Awaitable[None]]) -> None:
        """write stores all of its entries or raises."""
        self._write = write
        self._waiting: list[tuple[UsageEntry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    @classmethod
    def on(cls, pool: Pool) -> "UsageRecorder":
        """Return one that writes to the database."""

        async def write(entries: Sequence[UsageEntry]) -> None:
            async with pool.acquire() as conn:
                await insert_usage(conn, entries)

        return cls(write)

    def record(self, entry: UsageEntry) -> asyncio.Future[None]:
        """Begin to write an entry down; the future is done when it is, and raises what kept it from being.

        The entry is written whether or not anybody waits: cancelling the future changes nothing.
        """
        written = asyncio.get_running_loop().create_future()
        # Its request may have failed for a reason of its own, and not look at this one.
        written.add_done_callback(_look_at)
        self._waiting.append((entry, written))
        if self._writing is None:
            # Outside of the request's context: the write is not that one's alone.
            self._writing = asyncio.create_task(self._write_all(), context=contextvars.Context())
        return written

    async def drain(self) -> None:
        """Return when everything that was recorded is written, or has failed."""
        while self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: Sequence[tuple[UsageEntry, asyncio.Future[None]]]) -> None:
        try:
            await self._write([entry for entry, _ in batch])
        except BaseException as exc:
            for _, written in batch:
                if not written.done():
                    written.set_exception(_as_error(exc))
            if not isinstance(exc, Exception):
                raise
            return
        for _, written in batch:
            if not written.done():
                written.set_result(None)


def _look_at(written: asyncio.Future[None]) -> None:
    if not written.cancelled():
        written.exception()


def _as_error(exc: BaseException) -> Exception:
    """Return what waiters get: they have not been cancelled, the write has."""
    return exc if isinstance(exc, Exception) else ConnectionAbortedError("The write of usage was cut off.")
