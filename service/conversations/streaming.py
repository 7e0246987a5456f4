"""Answers as server-sent events: from the process that writes them, or from what it has saved, in any other."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar.response import ServerSentEventMessage

from db import turns
from db.conversations import Owners
from db.pool import Pool
from db.tenancy import as_caller
from db.turns import TurnRow
from search.answer.extractive import NAME as EXTRACTIVE
from service.answering.schemas import Delta, Failure, Usage
from service.auth.caller import Caller
from service.conversations.messages import Message, StoredMessage
from service.conversations.schemas import Done, Started
from service.conversations.turns import SAVE_EVERY_S, Turn

_STILL_HERE_S = 15.0


async def stream_turn(turn: Turn, after: int | None = None) -> AsyncIterator[ServerSentEventMessage]:
    """Yield a turn's events as they come; a comment now and then keeps proxies from dropping the connection."""
    events = turn.read(after)
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_STILL_HERE_S)
            if not done:
                yield ServerSentEventMessage(comment="still here")
                continue
            event = coming.result()
            if event is None:
                return
            yield _message(event.kind, event.data, event.position)
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        # Also where the reader is gone: this is what tells the turn.
        coming.cancel()
        await asyncio.wait({coming})
        await events.aclose()  # type: ignore[attr-defined]


async def stream_saved(
    pool: Pool, caller: Caller, owners: Owners, row: TurnRow, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    """Yield what another process writes, as far as it has saved it, behind `after` characters; and its end."""
    started = Started(
        conversation_id=row.conversation_id, question_id=str(row.question_id), message_id=str(row.id)
    )
    yield _message("start", started, after)
    retrieved = False
    while True:
        text = row.text if row.message is None else str(row.message.get("content", ""))
        if row.retrieval is not None and not retrieved:
            retrieved = True
            yield ServerSentEventMessage(
                event="retrieval", data=msgspec.json.encode(row.retrieval).decode(), id=str(after)
            )
        if len(text) > after:
            part, after = text[after:], len(text)
            yield _message("delta", Delta(text=part), after)
        if row.message is not None:
            for event in _ending(row):
                yield event
            return
        await asyncio.sleep(SAVE_EVERY_S)
        async with pool.acquire() as conn:
            await turns.mark_read(conn, row.id)
        async with as_caller(pool, caller.subject) as conn:
            found = await turns.find_turn(conn, owners, row.conversation_id, row.id)
        if found is None:
            return
        row = found


def _ending(row: TurnRow) -> list[ServerSentEventMessage]:
    message = Message.from_stored(msgspec.convert(row.message, StoredMessage))
    error = None if row.error is None else msgspec.convert(row.error, Failure)
    # What it cost is with the conversation; of one answer only its tokens are kept.
    tokens = message.tokens_used or 0
    usage = Usage(
        prompt_tokens=0, completion_tokens=0, total_tokens=tokens, cost=0.0, estimated=row.model_id != EXTRACTIVE
    )
    position = len(message.content)
    events = [_message("citation", citation, position) for citation in message.citations]
    if error is not None:
        events.append(_message("error", error, position))
    return [*events, _message("done", Done(message=message, usage=usage, error=error), position)]


def _message(kind: str, data: msgspec.Struct, position: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=kind, data=msgspec.json.encode(data).decode(), id=str(position))
