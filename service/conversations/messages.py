"""Messages as the platform's schema has them, with what we add to each; and what a model is told of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from db.turns import TurnStatus
from search.answer.model import ChatMessage
from service.answering.schemas import Citation

_TITLE_CHARS = 60


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was there before a newer one took its place."""

    id: str | None
    content: str
    timestamp: datetime | None = None


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An element of "AIConversation"."messages": role, content, timestamp and tokensUsed are the platform's."""

    role: Literal["user", "assistant", "system"]
    content: str
    timestamp: datetime | None = None
    tokens_used: int | None = None
    id: str | None = None
    """None in messages that the web application wrote."""
    reply_to: str | None = None
    status: TurnStatus | None = None
    model: str | None = None
    query: str | None = None
    declined: bool | None = None
    citations: list[Citation] = []
    alternatives: list[Alternative] = []


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message; status, model, query, declined and citations are an answer's."""

    id: str | None
    role: Literal["user", "assistant", "system"]
    content: str
    created_at: datetime | None
    tokens_used: int | None
    reply_to: str | None
    status: TurnStatus | None
    model: str | None
    query: str | None
    declined: bool | None
    citations: list[Citation]
    alternatives: list[Alternative]

    @classmethod
    def from_stored(cls, message: StoredMessage) -> "Message":
        return cls(
            id=message.id,
            role=message.role,
            content=message.content,
            created_at=message.timestamp,
            tokens_used=message.tokens_used,
            reply_to=message.reply_to,
            status=message.status,
            model=message.model,
            query=message.query,
            declined=message.declined,
            citations=message.citations,
            alternatives=message.alternatives,
        )


def read_stored(messages: Sequence[Any]) -> list[StoredMessage]:
    """Return what can be read of a conversation: what somebody else wrote in another form is passed over."""
    found = []
    for message in messages:
        try:
            found.append(msgspec.convert(message, StoredMessage))
        except msgspec.ValidationError:
            continue
    return found


def to_stored(message: StoredMessage) -> dict[str, Any]:
    stored: dict[str, Any] = msgspec.to_builtins(message)
    return stored


def new_question(question_id: UUID, content: str) -> StoredMessage:
    return StoredMessage(id=str(question_id), role="user", content=content, timestamp=datetime.now(UTC))


def find_question(messages: Sequence[StoredMessage], message_id: str) -> int | None:
    """Return the place of a question, by its own id or by its answer's."""
    wanted = {message_id}
    wanted |= {message.reply_to for message in messages if message.id == message_id and message.reply_to}
    for place, message in enumerate(messages):
        if message.role == "user" and message.id in wanted:
            return place
    return None


def history_before(messages: Sequence[StoredMessage], place: int) -> list[ChatMessage]:
    """Return what was said before a question: with each question its answer, and none that has no answer yet."""
    told: list[ChatMessage] = []
    answers = {message.reply_to: message for message in messages if message.reply_to}
    for current, message in enumerate(messages[:place]):
        if message.role == "user" and message.id is not None:
            answer = answers.get(message.id)
            if answer is not None and answer.content:
                told += [ChatMessage("user", message.content), ChatMessage("assistant", answer.content)]
        elif message.reply_to is None and message.content:
            # The web application's: its messages have no ids, and follow each other.
            is_asked = message.role == "user"
            is_answered = current + 1 < place and messages[current + 1].role == "assistant"
            if not is_asked or is_answered:
                told.append(ChatMessage(message.role, message.content))
    return told


def with_answer(messages: Sequence[Any], answer: StoredMessage, *, replaces: bool) -> list[Any]:
    """Return the stored messages with an answer: at the end, or in the place of the one before, which it keeps."""
    if replaces:
        for place, raw in enumerate(messages):
            if isinstance(raw, dict) and raw.get("replyTo") == answer.reply_to:
                old = msgspec.convert(raw, StoredMessage)
                kept = [
                    *old.alternatives,
                    Alternative(id=old.id, content=old.content, timestamp=old.timestamp),
                ]
                stored = to_stored(msgspec.structs.replace(answer, alternatives=kept))
                return [*messages[:place], stored, *messages[place + 1 :]]
    return [*messages, to_stored(answer)]


def make_title(question: str) -> str:
    """Return the beginning of a question, cut between words."""
    line = " ".join(question.split())
    if len(line) <= _TITLE_CHARS:
        return line
    return line[: _TITLE_CHARS - 1].rsplit(" ", 1)[0].rstrip(",;:.") + "…"
