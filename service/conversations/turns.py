"""Turns: answers that are being written, each by a task of its own, so that it can outlive a reader or end with one.

        question ──► Turn ──► events ──► its reader (SSE, or JSON at the end)
                      │ every half second
                      └──► conversation_turn (db) ──► readers elsewhere, and whoever asks it to stop

However a turn ends (said all, stopped, its reader gone, a failure, this process on its way out), what there is becomes a
message and is charged for, in one transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from db import conversations, turns
from db.pool import Pool
from db.tenancy import as_system
from db.turns import TurnStatus
from search.answer.history import Summary
from search.answer.model import ChatMessage
from search.answer.pipeline import Answered, Citation as Cited, Event, Retrieved, Shown
from service.answering.asking import Answerer, Asking
from service.answering.failures import describe_failure
from service.answering.schemas import AnswerSettings, Citation, Delta, Failure, Passage, Retrieval
from service.conversations.messages import Message, StoredMessage, with_answer
from service.conversations.schemas import Done, Started

log = structlog.get_logger()

SAVE_EVERY_S = 0.5
RESUME_WITHIN_S = 15.0
"""How long a resumable answer is written on for nobody: long enough to change networks."""


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """One server-sent event; position counts the characters of the answer up to and with it."""

    kind: str
    data: msgspec.Struct
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a turn is to do."""

    id: UUID
    conversation_id: str
    question_id: UUID
    question: str
    history: Sequence[ChatMessage]
    summary: Summary | None
    settings: AnswerSettings
    replaces: bool
    resumable: bool


@dataclass(slots=True)
class _Draft:
    """What there is of the answer."""

    text: str = ""
    retrieval: Retrieval | None = None
    citations: list[Citation] = field(default_factory=list)
    answered: Answered | None = None


class Turn:
    """One answer in the making. It belongs to the event loop that it is used in."""

    def __init__(self, pool: Pool, answerer: Answerer, asking: Asking, task: Task) -> None:
        self.task = task
        self._pool = pool
        self._answerer = answerer
        self._asking = asking
        self._draft = _Draft()
        self._events: list[TurnEvent] = []
        self._changed = asyncio.Event()
        self._readers = 0
        self._is_read_elsewhere = False
        self._ending: TurnStatus | None = None
        self._over = False
        self._writing: asyncio.Task[None] | None = None
        self._running = asyncio.create_task(self._run())

    # --- readers

    async def read(self, after: int | None = None) -> AsyncIterator[TurnEvent]:
        """Yield the events from the beginning, or those behind so many characters; the last reader's end may end the turn."""
        self._readers += 1
        place = 0
        try:
            while True:
                changed = self._changed
                for event in self._events[place:]:
                    yield event if after is None else _behind(event, after)
                place = len(self._events)
                if self._over and place == len(self._events):
                    return
                await changed.wait()
        finally:
            self._readers -= 1
            self._reader_left()

    async def wait(self) -> Done:
        """Return the stored answer once it is over."""
        await asyncio.wait({self._running})
        last = self._events[-1].data
        if not isinstance(last, Done):
            raise AssertionError("a turn's last event is done")
        return last

    def _reader_left(self) -> None:
        if self._over or self._readers:
            return
        if not self.task.resumable:
            self.end("interrupted")
        else:
            asyncio.get_running_loop().call_later(RESUME_WITHIN_S, self._end_if_unread)

    def _end_if_unread(self) -> None:
        if self._readers or self._over:
            return
        if self._is_read_elsewhere:
            asyncio.get_running_loop().call_later(RESUME_WITHIN_S, self._end_if_unread)
        else:
            self.end("interrupted")

    def end(self, status: TurnStatus) -> None:
        """Stop writing now, for this reason; the model's call is cancelled. What there is will be stored."""
        if self._writing is not None and not self._writing.done():
            self._ending = self._ending or status
            self._writing.cancel()

    async def over(self) -> None:
        await asyncio.wait({self._running})

    # --- writing

    async def _run(self) -> None:
        self._publish("start", self._started())
        self._writing = asyncio.create_task(self._write())
        saving = asyncio.create_task(self._save_regularly())
        await asyncio.wait({self._writing})
        saving.cancel()
        await asyncio.wait({saving})
        failure = self._failure(self._writing)
        status = self._status(failure)
        message = self._message(status)
        try:
            await self._store(status, message, failure)
        except BaseException:
            # It is still in conversation_turn, as far as it was saved there: maintenance keeps that.
            self._conclude(message, describe_failure(ConnectionError("the answer could not be stored")))
            raise
        self._conclude(message, failure)

    def _conclude(self, message: StoredMessage, failure: Failure | None) -> None:
        usage = self._asking.wire_usage()
        self._publish("usage", usage)
        if failure is not None:
            self._publish("error", failure)
        self._over = True
        self._publish("done", Done(message=Message.from_stored(message), usage=usage, error=failure))

    async def _write(self) -> None:
        task = self.task
        events = self._answerer.answer(
            self._asking, task.settings, task.question, history=task.history, summary=task.summary
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        draft = self._draft
        match event:
            case Retrieved():
                draft.retrieval = Retrieval(
                    query=event.query, hits=[Passage.from_found(passage) for passage in event.passages]
                )
                self._publish("retrieval", draft.retrieval)
            case Shown():
                draft.text += event.text
                self._publish("delta", Delta(text=event.text))
            case Cited():
                citation = Citation.from_cited(event)
                draft.citations.append(citation)
                self._publish("citation", citation)
            case Answered():
                draft.answered = event

    async def _save_regularly(self) -> None:
        saved: tuple[int, bool] | None = None
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            retrieval = self._draft.retrieval
            new = (len(self._draft.text), retrieval is not None)
            async with self._pool.acquire() as conn:
                standing = await turns.save_progress(
                    conn,
                    self.task.id,
                    text=self._draft.text,
                    retrieval=msgspec.to_builtins(retrieval) if retrieval and saved != new else None,
                )
            saved = new
            self._is_read_elsewhere = standing.is_read
            if not standing.goes_on:
                self.end("stopped")

    def _publish(self, kind: str, data: msgspec.Struct) -> None:
        self._events.append(TurnEvent(kind, data, len(self._draft.text)))
        self._changed.set()
        self._changed = asyncio.Event()

    def _started(self) -> Started:
        return Started(
            conversation_id=self.task.conversation_id,
            question_id=str(self.task.question_id),
            message_id=str(self.task.id),
        )

    # --- the end

    def _failure(self, writing: "asyncio.Task[None]") -> Failure | None:
        if writing.cancelled():
            return None
        error = writing.exception()
        return None if error is None else describe_failure(error)

    def _status(self, failure: Failure | None) -> TurnStatus:
        if self._draft.answered is not None:
            return "complete"
        return "failed" if failure is not None else self._ending or "interrupted"

    def _message(self, status: TurnStatus) -> StoredMessage:
        draft = self._draft
        return StoredMessage(
            id=str(self.task.id),
            role="assistant",
            content=draft.text,
            timestamp=datetime.now(UTC),
            tokens_used=self._asking.usage.total_tokens,
            reply_to=str(self.task.question_id),
            status=status,
            model=self._asking.chosen.name,
            query=None if draft.retrieval is None else draft.retrieval.query,
            declined=draft.answered.declined if draft.answered is not None else None,
            citations=draft.citations,
        )

    async def _store(self, status: TurnStatus, message: StoredMessage, failure: Failure | None) -> None:
        answered = self._draft.answered
        summary = None if answered is None or answered.summary is None else answered.summary
        async with as_system(self._pool) as conn:
            messages = await conversations.lock_messages(conn, self.task.conversation_id)
            is_ours = await turns.finish_turn(
                conn,
                self.task.id,
                status=status,
                message=_builtins(message),
                error=None if failure is None else _builtins(failure),
            )
            if messages is not None and is_ours:
                await conversations.store_answer(
                    conn,
                    self.task.conversation_id,
                    # A failure without a word leaves the question open, to be asked again.
                    with_answer(messages, message, replaces=self.task.replaces)
                    if message.content
                    else messages,
                    tokens=self._asking.usage.total_tokens,
                    cost=self._asking.cost,
                    summary=None if summary is None else {"text": summary.text, "covers": summary.covers},
                )
            # Paid for, whatever became of the conversation meanwhile.
            await self._asking.write_down(conn, "chat", self.task.conversation_id)


def _builtins(struct: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain


def _behind(event: TurnEvent, after: int) -> TurnEvent:
    """Return the event without the text that its reader has already."""
    if not isinstance(event.data, Delta):
        return event
    start = event.position - len(event.data.text)
    return TurnEvent(event.kind, Delta(text=event.data.text[max(0, after - start) :]), event.position)


class Turns:
    """The turns of this process."""

    def __init__(self, pool: Pool, answerer: Answerer) -> None:
        self._pool = pool
        self._answerer = answerer
        self._running: dict[UUID, Turn] = {}

    def start(self, asking: Asking, task: Task) -> Turn:
        turn = Turn(self._pool, self._answerer, asking, task)
        self._running[task.id] = turn
        turn._running.add_done_callback(lambda done: self._forget(task.id, done))  # noqa: SLF001 - of this module
        return turn

    def find(self, turn_id: UUID) -> Turn | None:
        return self._running.get(turn_id)

    async def aclose(self) -> None:
        """End every turn and return when all are stored."""
        for turn in list(self._running.values()):
            turn.end("interrupted")
        await asyncio.gather(*(turn.over() for turn in list(self._running.values())))

    def _forget(self, turn_id: UUID, done: "asyncio.Task[None]") -> None:
        self._running.pop(turn_id, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("turn_not_stored", turn=str(turn_id), exc_info=error)
