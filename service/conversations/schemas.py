"""Conversations on the wire."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from db.conversations import ConversationRow
from service.answering.schemas import AnswerSettings, Failure, Question, Usage
from service.conversations.messages import Message

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ModelId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewConversation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """model: its id, or the provider's name for it; unset: extractive. team_id shares it with a team."""

    title: Title | None = None
    model: ModelId | None = None
    team_id: str | None = None
    settings: AnswerSettings = AnswerSettings()


class ConversationPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; settings are replaced as a whole."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    model: ModelId | msgspec.UnsetType = msgspec.UNSET
    settings: AnswerSettings | msgspec.UnsetType = msgspec.UNSET


class Conversation(msgspec.Struct, kw_only=True, frozen=True):
    """A conversation without its messages; cost in US dollars."""

    id: str
    title: str | None
    model_id: str
    team_id: str | None
    settings: AnswerSettings
    message_count: int
    tokens_used: int
    cost: float
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: ConversationRow) -> "Conversation":
        return cls(**_fields(row))


class ConversationDetail(Conversation, kw_only=True, frozen=True):
    """A conversation and all that was said in it."""

    messages: list[Message]

    @classmethod
    def with_messages(cls, row: ConversationRow, messages: list[Message]) -> "ConversationDetail":
        return cls(**_fields(row), messages=messages)


def _fields(row: ConversationRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "model_id": row.model_id,
        "team_id": row.team_id,
        "settings": read_settings(row.settings),
        "message_count": row.message_count,
        "tokens_used": row.tokens_used,
        "cost": row.cost,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def read_settings(stored: dict[str, Any] | None) -> AnswerSettings:
    """Return the settings of a conversation; the usual ones where somebody else wrote what cannot be read."""
    try:
        return msgspec.convert(stored or {}, AnswerSettings)
    except msgspec.ValidationError:
        return AnswerSettings()


class NewMessage(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A question. stream: as server-sent events. resumable: write on for a while when the reader is cut off."""

    content: Question
    model: ModelId | None = None
    stream: bool = False
    resumable: bool = False


class Regeneration(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How to answer a question once more."""

    model: ModelId | None = None
    stream: bool = False
    resumable: bool = False


class Started(msgspec.Struct, kw_only=True, frozen=True):
    """The data of a `start` event: the ids of the question and of the answer that is being written."""

    conversation_id: str
    question_id: str
    message_id: str


class Done(msgspec.Struct, kw_only=True, frozen=True):
    """The data of a `done` event, and the reply to a question: the answer as it is stored."""

    message: Message
    usage: Usage
    error: Failure | None
