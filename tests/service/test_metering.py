"""The usage recorder: everything is written once, together where it can be, and failures reach who waits."""

import asyncio
from collections.abc import Sequence

import pytest

from db.usage import UsageEntry
from service.metering import MAX_BATCH, UsageRecorder


class Store:
    """Takes what is written; each write waits until it is let, fails where it is told to."""

    def __init__(self) -> None:
        self.writes: list[list[str]] = []
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Semaphore(0)
        self.errors: list[BaseException | None] = []

    async def write(self, entries: Sequence[UsageEntry]) -> None:
        self.begun.release()
        await self.go.acquire()
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.writes.append([entry.action for entry in entries])

    def written(self) -> list[str]:
        return [action for write in self.writes for action in write]


def entry(name: object) -> UsageEntry:
    return UsageEntry(user_id="u", resource="search", action=str(name))


async def test_a_thousand_at_once_are_all_written_in_few_writes() -> None:
    store = Store()
    recorder = UsageRecorder(store.write)
    for _ in range(1000):
        store.go.release()

    async def request(number: int) -> None:
        for _ in range(number % 7):  # requests are at different points of their work
            await asyncio.sleep(0)
        await recorder.record(entry(number))
        assert str(number) in store.written()

    await asyncio.gather(*(request(number) for number in range(1000)))
    assert sorted(map(int, store.written())) == list(range(1000))
    assert len(store.writes) <= 10


async def test_one_that_comes_alone_is_written_at_once() -> None:
    store = Store()
    store.go.release()
    recorder = UsageRecorder(store.write)
    async with asyncio.timeout(1):
        await recorder.record(entry("alone"))
    assert store.writes == [["alone"]]


async def test_what_comes_during_a_write_goes_with_the_next() -> None:
    store = Store()
    recorder = UsageRecorder(store.write)
    first = recorder.record(entry("first"))
    await store.begun.acquire()
    rest = [recorder.record(entry(name)) for name in ("second", "third")]
    store.go.release()
    await first
    assert not any(future.done() for future in rest)
    store.go.release()
    await asyncio.gather(*rest)
    assert store.writes == [["first"], ["second", "third"]]


async def test_a_failed_write_fails_those_in_it_and_nobody_else() -> None:
    store = Store()
    store.errors = [None, ConnectionError("away"), None]
    recorder = UsageRecorder(store.write)
    before = recorder.record(entry("before"))
    await store.begun.acquire()
    failing = [recorder.record(entry(name)) for name in ("a", "b")]
    store.go.release()
    await before
    await store.begun.acquire()
    after = recorder.record(entry("after"))
    store.go.release()
    store.go.release()
    for future in failing:
        with pytest.raises(ConnectionError):
            await future
    await after
    assert store.writes == [["before"], ["after"]]


async def test_nobody_has_to_look_at_a_failure() -> None:
    # Warnings are errors here: an exception that was never retrieved would fail the test.
    store = Store()
    store.errors = [ConnectionError("away")]
    recorder = UsageRecorder(store.write)
    recorder.record(entry("unwatched"))
    store.go.release()
    await recorder.drain()
    assert store.writes == []


async def test_cancelling_one_who_waits_loses_nothing() -> None:
    store = Store()
    recorder = UsageRecorder(store.write)

    async def request(name: str) -> None:
        await recorder.record(entry(name))

    tasks = [asyncio.create_task(request(name)) for name in ("gone before", "stays")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await store.begun.acquire()
    during = asyncio.create_task(request("gone during"))
    await asyncio.sleep(0)
    during.cancel()
    store.go.release()
    store.go.release()
    await tasks[1]
    await recorder.drain()
    assert sorted(store.written()) == ["gone before", "gone during", "stays"]


async def test_draining_waits_for_everything() -> None:
    store = Store()
    recorder = UsageRecorder(store.write)
    await recorder.drain()
    futures = [recorder.record(entry(number)) for number in range(2 * MAX_BATCH + 1)]
    draining = asyncio.create_task(recorder.drain())
    for number in range(3):
        await store.begun.acquire()
        assert not draining.done(), number
        store.go.release()
    await draining
    assert all(future.done() for future in futures)
    assert [len(write) for write in store.writes] == [MAX_BATCH, MAX_BATCH, 1]


async def test_a_write_that_is_cut_off_leaves_nobody_waiting() -> None:
    store = Store()
    recorder = UsageRecorder(store.write)
    waiting = recorder.record(entry("cut off"))
    await store.begun.acquire()
    assert recorder._writing is not None
    recorder._writing.cancel()
    with pytest.raises(ConnectionAbortedError):
        await waiting
    store.go.release()
    await recorder.record(entry("after"))
    assert store.writes == [["after"]]
