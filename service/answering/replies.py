"""A live answer as a reply: server-sent events, or one reply at the end; either way a client that leaves ends it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.response import ServerSentEventMessage

from service.answering.live import LiveAnswer, LiveEvent

_STILL_HERE_S = 15.0

T = TypeVar("T", bound=msgspec.Struct)


async def follow(answer: LiveAnswer, after: int | None = None) -> AsyncGenerator[LiveEvent | None, None]:
    """Yield the events as they come, and None now and then, so that proxies do not drop a silent connection."""
    events = answer.read(after)
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_STILL_HERE_S)
            if not done:
                yield None
                continue
            event = coming.result()
            if event is None:
                return
            yield event
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        # Also where the reader is gone: this is what tells the answer.
        coming.cancel()
        closing = asyncio.ensure_future(_close_after(coming, events))
        await asyncio.shield(closing)


async def _close_after(coming: "asyncio.Future[Any]", events: AsyncGenerator[LiveEvent, None]) -> None:
    await asyncio.wait({coming})
    await events.aclose()


async def as_messages(
    answer: LiveAnswer, after: int | None = None
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Yield the events as they go over the wire; the id of each is the position in the answer."""
    events = follow(answer, after)
    try:
        async for event in events:
            if event is None:
                yield ServerSentEventMessage(comment="still here")
            else:
                yield to_message(event.kind, event.data, event.position)
    finally:
        await events.aclose()


def to_message(kind: str, data: msgspec.Struct, position: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=kind, data=msgspec.json.encode(data).decode(), id=str(position))


def wants_stream(request: Request[Any, Any, Any], asked: bool) -> bool:
    return asked or "text/event-stream" in request.headers.get("accept", "")


async def wait_for(request: Request[Any, Any, Any], answer: LiveAnswer, kind: type[T]) -> T:
    """Return what the answer's finish returned; a client that goes away before ends the answer."""
    waiting = asyncio.ensure_future(answer.done())
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            answer.end("interrupted")
        done = await waiting
        if not isinstance(done, kind):
            raise TypeError(f"the answer ended with {type(done).__name__}")
        return done
    finally:
        leaving.cancel()


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
