"""From a question to its turn: the question is written down first, then the answer begins."""

import uuid
from dataclasses import dataclass
from http import HTTPStatus

from db import conversations, turns
from db.conversations import ConversationRow, Owners
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from search.answer.history import Summary
from service.answering.asking import Answerer, Asking
from service.answering.live import LiveAnswer
from service.auth.caller import Caller
from service.conversations.messages import (
    StoredMessage,
    find_question,
    history_before,
    make_title,
    new_question,
    read_stored,
    to_stored,
)
from service.conversations.schemas import NewMessage, Regeneration, read_settings
from service.conversations.turns import Turn, Turns
from service.errors import Problem, not_found

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
    if row.message_count >= MAX_MESSAGES:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"This conversation has {MAX_MESSAGES:,} messages: begin a new one.",
            limit=MAX_MESSAGES,
        )
    asking = await _begin(chat, caller, row, data.model)
    question_id, turn_id = uuid.uuid4(), uuid.uuid4()
    async with as_caller(chat.pool, caller.subject) as conn:
        owners = owners_of(caller, "conversations:write")
        question = new_question(question_id, data.content)
        if not await conversations.append_question(
            conn, owners, row.id, to_stored(question), title=make_title(data.content)
        ):
            raise not_found("conversation")
        messages = read_stored(await conversations.read_messages(conn, owners, row.id) or [])
        await _insert_turn(conn, asking, row, turn_id, question_id, replaces=False)
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
    if place is None:
        raise not_found("message")
    question = messages[place]
    asking = await _begin(chat, caller, row, data.model)
    turn_id = uuid.uuid4()
    async with as_caller(chat.pool, caller.subject) as conn:
        await _insert_turn(conn, asking, row, turn_id, uuid.UUID(question.id), replaces=True)
    return _start(chat, asking, row, turn_id, messages, question, data)


async def _begin(chat: Chat, caller: Caller, row: ConversationRow, model: str | None) -> Asking:
    return await chat.answerer.begin(
        caller, read_settings(row.settings), model or row.model_id, team_id=row.team_id
    )


async def _insert_turn(
    conn: Conn,
    asking: Asking,
    row: ConversationRow,
    turn_id: uuid.UUID,
    question_id: uuid.UUID,
    *,
    replaces: bool,
) -> None:
    async with as_service(conn):
        await turns.insert_turn(
            conn,
            turn_id=turn_id,
            conversation_id=row.id,
            question_id=question_id,
            replaces=replaces,
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
    summary = row.summary or {}
    turn = Turn(
        id=turn_id,
        conversation_id=row.id,
        question_id=uuid.UUID(question.id),
        question=question.content,
        history=history_before(messages, place),
        summary=Summary(str(summary["text"]), int(summary["covers"])) if summary else None,
        settings=read_settings(row.settings),
        replaces=isinstance(data, Regeneration),
        resumable=data.resumable,
    )
    return chat.turns.start(asking, turn)
