"""An answer that another process writes, or that is over, as server-sent events: from what was saved of it."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
from litestar.response import ServerSentEventMessage

from db import turns
from db.conversations import Owners
from db.pool import Pool
from db.tenancy import as_caller
from db.turns import TurnRow
from search.answer.extractive import NAME as EXTRACTIVE
from service.answering.live import BEAT_S
from service.answering.replies import to_message
from service.answering.schemas import Delta, Failure, Usage
from service.auth.caller import Caller
from service.conversations.messages import Message, StoredMessage
from service.conversations.schemas import Done, Started


async def stream_saved(
    pool: Pool, caller: Caller, owners: Owners, row: TurnRow, after: int
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Yield what another process writes, as far as it has saved it, behind `after` characters; and its end."""
    started = Started(
        conversation_id=row.conversation_id, question_id=str(row.question_id), message_id=str(row.id)
    )
    yield to_message("start", started, after)
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
            yield to_message("delta", Delta(text=part), after)
        if row.message is not None:
            for event in _ending(row):
                yield event
            return
        await asyncio.sleep(BEAT_S)
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
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=tokens,
        cost=0.0,
        estimated=row.model_id != EXTRACTIVE,
    )
    position = len(message.content)
    events = [to_message("citation", citation, position) for citation in message.citations]
    if error is not None:
        events.append(to_message("error", error, position))
    return [*events, to_message("done", Done(message=message, usage=usage, error=error), position)]
