"""/v1/conversations: hold them, read them, find them again, and answer in them."""

from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.response import ServerSentEvent

from db import ai_models, conversations, turns
from db.conversations import Cursor
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from search.answer.extractive import NAME as EXTRACTIVE
from service.answering.asking import spaces_of
from service.answering.live import LiveAnswer
from service.answering.models import choose_model
from service.answering.replies import as_messages, wait_for, wants_stream
from service.auth.caller import Caller
from service.conversations.asking import Chat, ask, ask_again, find_writable, owners_of
from service.conversations.export import to_markdown
from service.conversations.messages import Message, read_stored
from service.conversations.schemas import (
    Conversation,
    ConversationDetail,
    ConversationPatch,
    Done,
    NewConversation,
    NewMessage,
    Regeneration,
)
from service.conversations.streaming import stream_saved
from service.cursors import decode_cursor, encode_cursor
from service.errors import not_found
from service.openapi import problems
from service.schemas import Page
from service.text import one_line

ConversationId = Annotated[str, PathParameter(description="The conversation's id.", max_length=100)]
MessageId = Annotated[
    str, PathParameter(description="The answer's id; to regenerate, or the question's.", max_length=100)
]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]


@post("/", responses=problems(404, 422), summary="Begin a conversation")
async def create_conversation(
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    data: JSONBody[NewConversation],
) -> Response[Conversation]:
    """Begin a conversation, of yours or of a team; its settings say where its answers are looked for."""
    if data.team_id is not None:
        caller.require("conversations:write", data.team_id)
    await spaces_of(chat.pool, caller, data.settings)
    chosen = await choose_model(chat.pool, chat.answerer.chat_models, data.model or EXTRACTIVE)
    async with as_caller(chat.pool, caller.subject) as conn:
        await _name_model(conn, chosen.id)
        row = await conversations.insert_conversation(
            conn,
            user_id=caller.user_id,
            team_id=data.team_id,
            model_id=chosen.id,
            title=None if data.title is None else one_line(data.title, "title"),
            settings=msgspec.to_builtins(data.settings),
        )
    return Response(Conversation.from_row(row), headers={"Location": f"/v1/conversations/{row.id}"})


@get("/", responses=problems(404), summary="List conversations")
async def list_conversations(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    containing: Annotated[
        str | None,
        QueryParameter(min_length=1, max_length=200, description="Only those that say this somewhere."),
    ] = None,
) -> Page[Conversation]:
    """Return your conversations and your teams', the last changed first."""
    cursor = decode_cursor(after, Cursor)
    if containing is not None and "\x00" in containing:
        return Page(data=[], has_more=False, next_cursor=None)
    async with as_caller(pool, caller.subject) as conn:
        rows = await conversations.list_conversations(
            conn, owners_of(caller), limit=limit + 1, after=cursor, query=containing
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Conversation.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].updated_at, shown[-1].id)) if more else None,
    )


@get("/{conversation_id:str}", responses=problems(404), summary="Get a conversation")
async def get_conversation(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], conversation_id: ConversationId
) -> ConversationDetail:
    """Return a conversation with all its messages."""
    return await _read(pool, caller, conversation_id)


@get("/{conversation_id:str}/export", responses=problems(404), summary="Export a conversation")
async def export_conversation(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    conversation_id: ConversationId,
    as_: Annotated[
        Literal["markdown", "json"], QueryParameter(name="as", description="For people or for programs.")
    ] = "markdown",
) -> Response[Any]:
    """Return a conversation as a file, with the sources of its answers."""
    conversation = await _read(pool, caller, conversation_id)
    ending = "md" if as_ == "markdown" else "json"
    headers = {
        "Content-Disposition": f'attachment; filename="conversation-{conversation.id}.{ending}"',
        "X-Content-Type-Options": "nosniff",
    }
    if as_ == "json":
        return Response(conversation, headers=headers)
    return Response(to_markdown(conversation), media_type="text/markdown", headers=headers)


@patch("/{conversation_id:str}", responses=problems(404, 422), summary="Change a conversation")
async def update_conversation(
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    conversation_id: ConversationId,
    data: JSONBody[ConversationPatch],
) -> Conversation:
    """Rename it, or change its model or settings; what was said stays."""
    await find_writable(chat.pool, caller, conversation_id)
    model_id = None
    if data.model is not msgspec.UNSET:
        model_id = (await choose_model(chat.pool, chat.answerer.chat_models, data.model)).id
    if data.settings is not msgspec.UNSET:
        await spaces_of(chat.pool, caller, data.settings)
    async with as_caller(chat.pool, caller.subject) as conn:
        await _name_model(conn, model_id)
        row = await conversations.update_conversation(
            conn,
            owners_of(caller, "conversations:write"),
            conversation_id,
            title=None if data.title is msgspec.UNSET else one_line(data.title, "title"),
            set_title=data.title is not msgspec.UNSET,
            model_id=model_id,
            settings=None if data.settings is msgspec.UNSET else msgspec.to_builtins(data.settings),
        )
    if row is None:
        raise not_found("conversation")
    return Conversation.from_row(row)


@delete("/{conversation_id:str}", responses=problems(404), summary="Delete a conversation")
async def delete_conversation(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], conversation_id: ConversationId
) -> None:
    """Delete a conversation and all that was said in it."""
    await find_writable(pool, caller, conversation_id)
    async with as_caller(pool, caller.subject) as conn:
        if not await conversations.delete_conversation(
            conn, owners_of(caller, "conversations:write"), conversation_id
        ):
            raise not_found("conversation")


@post(
    "/{conversation_id:str}/messages",
    status_code=200,
    responses=problems(402, 404, 409, 422),
    summary="Ask in a conversation",
)
async def send_message(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    conversation_id: ConversationId,
    data: JSONBody[NewMessage],
) -> Response[Done] | ServerSentEvent:
    """Answer a question from the documents, as JSON at the end or as server-sent events while it is written."""
    row = await find_writable(chat.pool, caller, conversation_id)
    return await _reply(request, await ask(chat, caller, row, data), stream=data.stream)


@post(
    "/{conversation_id:str}/messages/{message_id:str}/regenerate",
    status_code=200,
    responses=problems(402, 404, 422),
    summary="Answer once more",
)
async def regenerate_message(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    conversation_id: ConversationId,
    message_id: MessageId,
    data: JSONBody[Regeneration],
) -> Response[Done] | ServerSentEvent:
    """Answer a question again; the new answer takes the place of the old one, which is kept among its alternatives."""
    row = await find_writable(chat.pool, caller, conversation_id)
    return await _reply(request, await ask_again(chat, caller, row, message_id, data), stream=data.stream)


@post(
    "/{conversation_id:str}/messages/{message_id:str}/stop",
    status_code=202,
    responses=problems(404),
    summary="Stop an answer",
)
async def stop_message(
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    conversation_id: ConversationId,
    message_id: MessageId,
) -> None:
    """Have an answer stop where it is; what there is of it is kept. One that is over stays as it is."""
    row = await find_writable(chat.pool, caller, conversation_id)
    turn_id = _uuid(message_id)
    async with as_caller(chat.pool, caller.subject) as conn:
        if await turns.find_turn(conn, owners_of(caller, "conversations:write"), row.id, turn_id) is None:
            raise not_found("message")
        async with as_service(conn):
            await turns.request_stop(conn, turn_id)
    answer = chat.turns.find(turn_id)
    if answer is not None:
        answer.end("stopped")


@get(
    "/{conversation_id:str}/messages/{message_id:str}/events",
    responses=problems(404),
    media_type="text/event-stream",
    summary="Follow an answer",
)
async def follow_message(
    caller: NamedDependency[Caller],
    chat: NamedDependency[Chat],
    conversation_id: ConversationId,
    message_id: MessageId,
    last_event_id: Annotated[
        str | None,
        HeaderParameter(
            name="Last-Event-ID", max_length=20, description="The id of the last event that came."
        ),
    ] = None,
) -> ServerSentEvent:
    """Take up an answer where a reader was cut off, for a day after it was given."""
    owners = owners_of(caller)
    turn_id = _uuid(message_id)
    async with as_caller(chat.pool, caller.subject) as conn:
        row = await turns.find_turn(conn, owners, conversation_id, turn_id)
    if row is None:
        raise not_found("message")
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    answer = chat.turns.find(turn_id)
    if answer is not None:
        return ServerSentEvent(as_messages(answer, after))
    return ServerSentEvent(stream_saved(chat.pool, caller, owners, row, after))


async def _reply(
    request: Request[Any, Any, Any], answer: LiveAnswer, *, stream: bool
) -> Response[Done] | ServerSentEvent:
    if wants_stream(request, stream):
        return ServerSentEvent(as_messages(answer))
    return Response(await wait_for(request, answer, Done), status_code=HTTPStatus.OK)


async def _name_model(conn: Conn, model_id: str | None) -> None:
    if model_id == EXTRACTIVE:
        async with as_service(conn):
            await ai_models.ensure_built_in(conn)


async def _read(pool: Pool, caller: Caller, conversation_id: str) -> ConversationDetail:
    async with as_caller(pool, caller.subject) as conn:
        row = await conversations.find_conversation(conn, owners_of(caller), conversation_id)
        messages = await conversations.read_messages(conn, owners_of(caller), conversation_id)
    if row is None or messages is None:
        raise not_found("conversation")
    return ConversationDetail.with_messages(
        row, [Message.from_stored(message) for message in read_stored(messages)]
    )


def _uuid(message_id: str) -> UUID:
    try:
        return UUID(message_id)
    except ValueError:
        raise not_found("message") from None


conversations_router = Router(
    "/v1/conversations",
    tags=["conversations"],
    route_handlers=[
        create_conversation,
        list_conversations,
        get_conversation,
        export_conversation,
        update_conversation,
        delete_conversation,
        send_message,
        regenerate_message,
        stop_message,
        follow_message,
    ],
)
