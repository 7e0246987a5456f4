"""From a question to its turn: the question is written down first, then the answer begins."""

import uuid
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from db import conversations, turns
from db.conversations import ConversationRow, Owners
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from service.answering.asking import Answerer, Asking
from service.answering.live import LiveAnswer
from service.answering.schemas import AnswerSettings
from service.auth.caller import Caller
from service.conversations.messages import (
    StoredMessage,
    find_question,
    history_before,
    is_uuid,
    make_title,
    new_question,
    read_stored,
    read_summary,
    to_stored,
)
from service.conversations.schemas import NewMessage, Regeneration, read_settings
from service.conversations.turns import Turn, Turns
from service.errors import Problem, not_found
from service.text import storable

HISTORY_CHARS = 8_000
"""What is set aside for what was said before, beside the passages."""

MAX_MESSAGES = 2_000
"""A conversation is one row; what is longer wants a new one."""


@dataclass(frozen=True, slots=True)
class Chat:
    """What holding conversations works with; one a process."""

    pool: Pool
    answerer: Answerer
    turns: Turns


def owners_of(caller: Caller, permission: str = "conversations:read") -> Owners:
    return Owners(caller.user_id, caller.teams_with(permission))


async def find_writable(pool: Pool, caller: Caller, conversation_id: str) -> ConversationRow:
    """Raises Problem 404 for a conversation that the caller may not read, 403 for one that they may only read."""
    async with as_caller(pool, caller.subject) as conn:
        row = await conversations.find_conversation(conn, owners_of(caller), conversation_id)
    if row is None:
        raise not_found("conversation")
    if row.team_id is not None:
        caller.require("conversations:write", row.team_id)
    return row


async def ask(chat: Chat, caller: Caller, row: ConversationRow, data: NewMessage) -> LiveAnswer:
    """Write a question down and begin its answer."""
    if not data.content.strip():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "content: says nothing.")
    if row.message_count >= MAX_MESSAGES:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"This conversation has {MAX_MESSAGES:,} messages: begin a new one.",
            limit=MAX_MESSAGES,
        )
    asking = await _begin(chat, caller, row, data.model)
    question_id, turn_id = uuid.uuid4(), uuid.uuid4()
    async with chat.answerer.kept(asking), as_caller(chat.pool, caller.subject) as conn:
        owners = owners_of(caller, "conversations:write")
        question = new_question(question_id, storable(data.content))
        if not await conversations.append_question(
            conn, owners, row.id, to_stored(question), title=make_title(question.content)
        ):
            raise not_found("conversation")
        messages = read_stored(await conversations.read_messages(conn, owners, row.id) or [])
        await _insert_turn(conn, asking, row, turn_id, question_id)
    return _start(chat, asking, row, turn_id, messages, question, data)


async def ask_again(
    chat: Chat, caller: Caller, row: ConversationRow, message_id: str, data: Regeneration
) -> LiveAnswer:
    """Answer a question once more; the new answer takes the old one's place, which is kept beside it."""
    async with as_caller(chat.pool, caller.subject) as conn:
        messages = read_stored(
            await conversations.read_messages(conn, owners_of(caller, "conversations:write"), row.id) or []
        )
    place = find_question(messages, message_id)
    if place is None or not is_uuid(messages[place].id):
        raise not_found("message")
    question = messages[place]
    asking = await _begin(chat, caller, row, data.model)
    turn_id = uuid.uuid4()
    async with chat.answerer.kept(asking), as_caller(chat.pool, caller.subject) as conn:
        await _insert_turn(conn, asking, row, turn_id, uuid.UUID(question.id))
    return _start(chat, asking, row, turn_id, messages, question, data)


def settings_of(row: ConversationRow) -> AnswerSettings:
    """Return where answers are looked for. Those of a team's are read by all of it: only in what is the team's."""
    settings = read_settings(row.settings)
    if row.team_id is None:
        return settings
    return msgspec.structs.replace(settings, team_id=row.team_id)


async def _begin(chat: Chat, caller: Caller, row: ConversationRow, model: str | None) -> Asking:
    return await chat.answerer.begin(
        caller, settings_of(row), model or row.model_id, team_id=row.team_id, prompt_chars=HISTORY_CHARS
    )


async def _insert_turn(
    conn: Conn,
    asking: Asking,
    row: ConversationRow,
    turn_id: uuid.UUID,
    question_id: uuid.UUID,
) -> None:
    async with as_service(conn):
        await turns.insert_turn(
            conn,
            turn_id=turn_id,
            conversation_id=row.id,
            question_id=question_id,
            user_id=asking.caller.user_id,
            team_id=row.team_id,
            key_id=asking.caller.key_id,
            model_id=asking.chosen.id,
        )


def _start(
    chat: Chat,
    asking: Asking,
    row: ConversationRow,
    turn_id: uuid.UUID,
    messages: list[StoredMessage],
    question: StoredMessage,
    data: NewMessage | Regeneration,
) -> LiveAnswer:
    place = next(place for place, message in enumerate(messages) if message.id == question.id)
    turn = Turn(
        id=turn_id,
        conversation_id=row.id,
        question_id=uuid.UUID(question.id),
        question=question.content,
        history=history_before(messages, place),
        summary=read_summary(row.summary),
        settings=settings_of(row),
        resumable=data.resumable,
    )
    return chat.turns.start(asking, turn)
