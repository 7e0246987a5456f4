"""An answer that is being written, by a task of its own, so that it can outlive a reader or end with one.

        question ──► task ──► events ──► readers (server-sent events, or one reply at the end)
                      └─ however it ends ──► finish: stored, charged for ──► usage, error, done

A reader that goes away ends the answer, with its model's call; one that said it would come back has a while to do so.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import structlog

from search.answer.history import Summary
from search.answer.model import ChatMessage, Sampling
from search.answer.pipeline import Answered, Event, Retrieved, Shown
from search.answer.pipeline import Citation as Cited
from service.answering.asking import Answerer, Asking
from service.answering.failures import describe_failure
from service.answering.schemas import AnswerSettings, Citation, Delta, Failure, Passage, Retrieval

log = structlog.get_logger()

Status = Literal["complete", "stopped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """position counts the characters of the answer up to and with the event."""

    kind: str
    data: msgspec.Struct
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be answered, and how."""

    question: str
    settings: AnswerSettings
    history: Sequence[ChatMessage] = ()
    summary: Summary | None = None
    sampling: Sampling | None = None
    """What settings do not say; None: as they say."""
    messages: Sequence[ChatMessage] | None = None
    """To be sent to the model as they stand, without looking anything up."""


@dataclass(slots=True)
class Draft:
    """What there is of an answer."""

    text: str = ""
    retrieval: Retrieval | None = None
    citations: list[Citation] = field(default_factory=list)
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended; failure is why, where it failed."""

    status: Status
    failure: Failure | None


Finish = Callable[[Draft, Ending], Awaitable[msgspec.Struct]]
"""Stores the answer and charges for it; returns the data of the last event, `done`."""

Beat = Callable[[Draft], Awaitable[Status | None]]
"""Called every BEAT_S while an answer is written; a status it returns ends the answer."""

BEAT_S = 0.5


class LiveAnswer:
    """One answer in the making. It belongs to the event loop that it is used in."""

    def __init__(
        self,
        answerer: Answerer,
        asking: Asking,
        asked: Asked,
        *,
        finish: Finish,
        started: msgspec.Struct | None = None,
        beat: Beat | None = None,
        grace_s: float = 0.0,
    ) -> None:
        """grace_s: how long it is written on for nobody; started: the data of the first event."""
        self.asking = asking
        self.draft = Draft()
        self.is_read_elsewhere = False
        self._answerer = answerer
        self._asked = asked
        self._finish = finish
        self._beat = beat
        self._grace_s = grace_s
        self._events: list[LiveEvent] = []
        self._changed = asyncio.Event()
        self._readers = 0
        self._ending: Status | None = None
        self._over = False
        if started is not None:
            self._publish("start", started)
        self._writing = asyncio.create_task(self._write())
        self._running = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        return self._over

    async def read(self, after: int | None = None) -> AsyncGenerator[LiveEvent, None]:
        """Yield the events, of the text only what is behind so many characters; closing may end the answer."""
        self._readers += 1
        place = 0
        try:
            while True:
                changed = self._changed
                while place < len(self._events):
                    event = self._events[place]
                    place += 1
                    yield event if after is None else _behind(event, after)
                if self._over:
                    return
                await changed.wait()
        finally:
            self._readers -= 1
            self._reader_left()

    async def done(self) -> msgspec.Struct:
        """Return the data of the last event once the answer is over; raises what kept it from being stored."""
        await asyncio.shield(self._running)
        return self._events[-1].data

    def end(self, status: Status) -> None:
        """Stop writing now, for this reason; the model's call is cancelled, and what there is gets stored."""
        if not self._writing.done():
            self._ending = self._ending or status
            self._writing.cancel()

    async def over(self) -> None:
        """Return when it is stored, or has failed to be."""
        await asyncio.wait({self._running})

    def _reader_left(self) -> None:
        if self._over or self._readers:
            return
        if self._grace_s == 0:
            self.end("interrupted")
        else:
            asyncio.get_running_loop().call_later(self._grace_s, self._end_if_unread)

    def _end_if_unread(self) -> None:
        if self._readers or self._over:
            return
        if self.is_read_elsewhere:
            asyncio.get_running_loop().call_later(self._grace_s, self._end_if_unread)
        else:
            self.end("interrupted")

    async def _write(self) -> None:
        asked = self._asked
        if asked.messages is not None:
            events = self._answerer.chat(self.asking, asked.messages, asked.sampling or Sampling())
        else:
            events = self._answerer.answer(
                self.asking,
                asked.settings,
                asked.question,
                history=asked.history,
                summary=asked.summary,
                sampling=asked.sampling,
            )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        draft = self.draft
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

    async def _run(self) -> None:
        beating = None if self._beat is None else asyncio.create_task(self._beat_on(self._beat))
        await asyncio.wait({self._writing})
        if beating is not None:
            beating.cancel()
            await asyncio.wait({beating})
        ending = self._how_it_ended()
        try:
            done = await self._finish(self.draft, ending)
        except BaseException as exc:
            self._conclude("error", describe_failure(exc))
            raise
        self._publish("usage", self.asking.wire_usage())
        if ending.failure is not None:
            self._publish("error", ending.failure)
        self._conclude("done", done)

    async def _beat_on(self, beat: Beat) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                status = await beat(self.draft)
            except OSError as exc:
                # The database is away for a moment; the answer itself needs it only at the end.
                log.warning("answer_not_saved", reason=str(exc))
                continue
            if status is not None:
                self.end(status)

    def _how_it_ended(self) -> Ending:
        if self.draft.answered is not None:
            return Ending("complete", None)
        if self._writing.cancelled():
            return Ending(self._ending or "interrupted", None)
        error = self._writing.exception()
        return Ending("failed", None if error is None else describe_failure(error))

    def _publish(self, kind: str, data: msgspec.Struct) -> None:
        self._events.append(LiveEvent(kind, data, len(self.draft.text)))
        self._changed.set()
        self._changed = asyncio.Event()

    def _conclude(self, kind: str, data: msgspec.Struct) -> None:
        self._over = True
        self._publish(kind, data)


def _behind(event: LiveEvent, after: int) -> LiveEvent:
    """Return the event without the text that its reader has already."""
    if not isinstance(event.data, Delta):
        return event
    start = event.position - len(event.data.text)
    return LiveEvent(event.kind, Delta(text=event.data.text[max(0, after - start) :]), event.position)


class LiveAnswers:
    """The answers of this process, so that none is left behind when it ends."""

    def __init__(self) -> None:
        self._live: set[LiveAnswer] = set()

    def add(self, answer: LiveAnswer) -> LiveAnswer:
        self._live.add(answer)
        answer._running.add_done_callback(lambda done: self._forget(answer, done))  # noqa: SLF001 - of this module
        return answer

    async def aclose(self) -> None:
        """End every answer and return when all are stored."""
        live = list(self._live)
        for answer in live:
            answer.end("interrupted")
        await asyncio.gather(*(answer.over() for answer in live))

    def _forget(self, answer: LiveAnswer, done: "asyncio.Task[None]") -> None:
        self._live.discard(answer)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("answer_not_stored", exc_info=error)
