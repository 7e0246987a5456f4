"""Turns: an answer in a conversation, saved as it is written and a message of the conversation when it is over.

        question ──► LiveAnswer ──► its readers
                      │ every half second
                      └──► conversation_turn (db) ──► readers elsewhere, and whoever asks it to stop

However a turn ends (all said, stopped, its reader gone, a failure, this process on its way out), what there is becomes
a message and is charged for, in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from db import conversations, turns
from db.pool import Pool
from db.tenancy import as_system
from search.answer.history import Summary
from search.answer.model import ChatMessage
from service.answering.asking import Answerer, Asking
from service.answering.live import Asked, Draft, Ending, LiveAnswer, LiveAnswers, Status
from service.answering.schemas import AnswerSettings
from service.conversations.messages import Message, StoredMessage, with_answer
from service.conversations.schemas import Done, Started

RESUME_WITHIN_S = 15.0
"""How long a resumable answer is written on for nobody: long enough to change networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is to be answered, where, and under which ids."""

    id: UUID
    conversation_id: str
    question_id: UUID
    question: str
    history: Sequence[ChatMessage]
    summary: Summary | None
    settings: AnswerSettings
    resumable: bool


class Turns:
    """The turns of this process."""

    def __init__(self, pool: Pool, answerer: Answerer, live: LiveAnswers) -> None:
        self._pool = pool
        self._answerer = answerer
        self._live = live
        self._by_id: dict[UUID, LiveAnswer] = {}

    def start(self, asking: Asking, turn: Turn) -> LiveAnswer:
        async def finish(draft: Draft, ending: Ending) -> Done:
            try:
                return await self._store(asking, turn, draft, ending)
            except BaseException:
                # It is paid for all the same.
                await self._answerer.charge(asking, "chat", turn.conversation_id)
                raise
            finally:
                self._by_id.pop(turn.id, None)

        async def beat(draft: Draft) -> Status | None:
            return await self._save(turn, draft)

        answer = LiveAnswer(
            self._answerer,
            asking,
            Asked(question=turn.question, settings=turn.settings, history=turn.history, summary=turn.summary),
            finish=finish,
            beat=beat,
            started=Started(
                conversation_id=turn.conversation_id,
                question_id=str(turn.question_id),
                message_id=str(turn.id),
            ),
            grace_s=RESUME_WITHIN_S if turn.resumable else 0.0,
        )
        self._by_id[turn.id] = answer
        return self._live.add(answer)

    def find(self, turn_id: UUID) -> LiveAnswer | None:
        return self._by_id.get(turn_id)

    async def _save(self, turn: Turn, draft: Draft) -> Status | None:
        retrieval = draft.retrieval
        async with self._pool.acquire() as conn:
            standing = await turns.save_progress(
                conn,
                turn.id,
                text=draft.text,
                retrieval=None if retrieval is None else _builtins(retrieval),
            )
        answer = self.find(turn.id)
        if answer is not None:
            answer.is_read_elsewhere = standing.is_read
        return None if standing.goes_on else "stopped"

    async def _store(self, asking: Asking, turn: Turn, draft: Draft, ending: Ending) -> Done:
        message = _message(asking, turn, draft, ending)
        summary = None if draft.answered is None else draft.answered.summary
        async with as_system(self._pool) as conn:
            messages = await conversations.lock_messages(conn, turn.conversation_id)
            is_ours = await turns.finish_turn(
                conn,
                turn.id,
                status=ending.status,
                message=_builtins(message),
                error=None if ending.failure is None else _builtins(ending.failure),
            )
            if messages is not None and is_ours:
                # A failure without a word leaves the question open, to be asked again.
                if message.content:
                    messages = with_answer(messages, message)
                await conversations.store_answer(
                    conn,
                    turn.conversation_id,
                    messages,
                    tokens=asking.usage.total_tokens,
                    cost=asking.cost,
                    summary=None if summary is None else {"text": summary.text, "covers": summary.covers},
                )
            # Paid for, whatever became of the conversation meanwhile.
            await asking.write_down(conn, "chat", turn.conversation_id)
        return Done(message=Message.from_stored(message), usage=asking.wire_usage(), error=ending.failure)


def _message(asking: Asking, turn: Turn, draft: Draft, ending: Ending) -> StoredMessage:
    return StoredMessage(
        id=str(turn.id),
        role="assistant",
        content=draft.text,
        timestamp=datetime.now(UTC),
        tokens_used=asking.usage.total_tokens,
        reply_to=str(turn.question_id),
        status=ending.status,
        model=asking.chosen.name,
        query=None if draft.retrieval is None else draft.retrieval.query,
        declined=None if draft.answered is None else draft.answered.declined,
        citations=draft.citations,
    )


def _builtins(struct: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain
