"""POST /v1/chat/completions: our models by name, with documents where they are asked for."""

import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream

from db.tenancy import as_system
from search.answer.model import ChatMessage, Sampling
from service.answering.asking import Answerer, Asking
from service.answering.live import Asked, Draft, Ending, LiveAnswer, LiveAnswers
from service.answering.replies import follow, wait_for
from service.answering.schemas import AnswerSettings, Citation, Delta, Failure
from service.auth.caller import Caller
from service.openai_api.asked import finish_reason, raise_failure, read_model, refuse, text_of, to_asked
from service.openai_api.chat_schemas import Annotation, ChatBody, annotate
from service.openai_api.errors import failures


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended."""

    draft: Draft
    ending: Ending


async def begin(
    answerer: Answerer, caller: Caller, model: str, settings: AnswerSettings | None, asked: Asked
) -> Asking:
    """Check what is asked, and set aside what it may cost."""
    messages = asked.messages if asked.messages is not None else asked.history
    return await answerer.begin(
        caller,
        settings or AnswerSettings(),
        model,
        prompt_chars=sum(len(message.content) for message in messages),
        max_tokens=asked.sampling.max_tokens if asked.sampling is not None else None,
    )


def finisher(answerer: Answerer, asking: Asking, action: str) -> Any:
    """Return what charges for an answer once it is over."""

    async def finish(draft: Draft, ending: Ending) -> Finished:
        async with as_system(answerer.pool) as conn:
            await asking.write_down(conn, action)
        return Finished(draft=draft, ending=ending)

    return finish


@post("/chat/completions", status_code=200, responses=failures(402, 404), summary="Complete a chat")
async def complete_chat(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    answerer: NamedDependency[Answerer],
    live_answers: NamedDependency[LiveAnswers],
    data: JSONBody[ChatBody],
) -> Response[dict[str, Any]] | Stream:
    """Answer the last message: from documents with a model named docsearch/…, `retrieval`, or the file_search tool."""
    _check(data)
    model, settings = read_model(data.model, data.tools or [], data.retrieval)
    asked = to_asked(_messages(data), settings, _sampling(data))
    asking = await begin(answerer, caller, model, settings, asked)
    answer = live_answers.add(
        LiveAnswer(answerer, asking, asked, finish=finisher(answerer, asking, "completion"))
    )
    chat = _Chat(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), data.model, _base_url(request))
    if data.stream:
        include_usage = data.stream_options is not None and data.stream_options.include_usage
        return Stream(
            _stream(chat, answer, include_usage),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    finished = await wait_for(request, answer, Finished)
    raise_failure(finished.ending)
    return Response(chat.completion(asking, finished.draft))


def _check(data: ChatBody) -> None:
    if data.n not in {None, 1}:
        raise refuse("n: one choice is made for each request.", "n")
    if data.response_format is not None and data.response_format.type != "text":
        raise refuse("response_format: answers are text.", "response_format")
    if data.logprobs:
        raise refuse("logprobs: not given here.", "logprobs")


def _messages(data: ChatBody) -> list[ChatMessage]:
    return [
        ChatMessage(
            "system" if message.role == "developer" else message.role,
            text_of(message.content, f"messages[{place}].content"),
        )
        for place, message in enumerate(data.messages)
    ]


def _sampling(data: ChatBody) -> Sampling:
    stop = [data.stop] if isinstance(data.stop, str) else data.stop or []
    return Sampling(
        max_tokens=data.max_completion_tokens or data.max_tokens,
        temperature=data.temperature,
        top_p=data.top_p,
        frequency_penalty=data.frequency_penalty,
        presence_penalty=data.presence_penalty,
        stop=tuple(stop),
    )


def _base_url(request: Request[Any, Any, Any]) -> str:
    return str(request.base_url).rstrip("/")


class _Chat(msgspec.Struct, frozen=True):
    """What every part of one completion says of itself."""

    id: str
    created: int
    model: str
    base_url: str

    def completion(self, asking: Asking, draft: Draft) -> dict[str, Any]:
        message = {
            "role": "assistant",
            "content": draft.text,
            "refusal": None,
            "annotations": msgspec.to_builtins(self.annotations(draft)),
        }
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": reason_of(draft)}
            ],
            "usage": usage_of(asking),
        }

    def chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self.bare_chunk([choice])

    def bare_chunk(
        self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        }

    def annotations(self, draft: Draft) -> list[Annotation]:
        return annotate(draft.text, draft.citations, self.base_url)


def reason_of(draft: Draft) -> str:
    return "stop" if draft.answered is None else finish_reason(draft.answered.reason)


def usage_of(asking: Asking) -> dict[str, Any]:
    usage = asking.wire_usage()
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost": usage.cost,
    }


async def _stream(chat: _Chat, answer: LiveAnswer, include_usage: bool) -> AsyncGenerator[bytes, None]:
    events = follow(answer)
    try:
        yield sse(chat.chunk({"role": "assistant", "content": ""}))
        async for event in events:
            match event.data if event is not None else None:
                case None:
                    yield b": still here\n\n"
                case Delta(text=text):
                    yield sse(chat.chunk({"content": text}))
                case Failure() as failure:
                    yield sse({"error": failure_body(failure)})
                    return
                case Finished(draft=draft):
                    last: dict[str, Any] = {}
                    if draft.citations:
                        last["annotations"] = msgspec.to_builtins(chat.annotations(draft))
                    yield sse(chat.chunk(last, reason_of(draft)))
                case Citation() | _:
                    pass  # annotations say where in the text they are, and come with the end
        if include_usage:
            yield sse(chat.bare_chunk([], usage_of(answer.asking)))
        yield b"data: [DONE]\n\n"
    finally:
        await events.aclose()


def sse(data: object) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def failure_body(failure: Failure) -> dict[str, Any]:
    return {"message": failure.detail, "type": "server_error", "param": None, "code": failure.code}


chat_routes = [complete_chat]
