"""POST /v1/responses: one answer, with the file_search tool where documents are to be looked at."""

import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream

from search.answer.model import ChatMessage, Sampling
from service.answering.asking import Answerer, Asking
from service.answering.live import Draft, LiveAnswer, LiveAnswers
from service.answering.replies import follow, wait_for
from service.answering.schemas import AnswerSettings, Citation, Delta, Failure, Passage, Retrieval
from service.auth.caller import Caller
from service.openai_api.asked import (
    Content,
    FileSearchTool,
    raise_failure,
    read_model,
    refuse,
    text_of,
    to_asked,
)
from service.openai_api.chat import Finished, begin, finisher, usage_of
from service.openai_api.errors import failures
from service.openai_api.ids import to_file_id

_WITH_RESULTS = "file_search_call.results"


class InputMessage(msgspec.Struct, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    type: str = "message"


class ResponseBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is given beyond this is not looked at; answers are not kept, so none can be referred to."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    input: str | list[InputMessage]
    instructions: str | None = None
    tools: list[FileSearchTool] | None = None
    include: list[str] | None = None
    stream: bool = False
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    retrieval: AnswerSettings | None = None
    """Ours: answer from documents, and from which."""


@post("/responses", status_code=200, responses=failures(402, 404), summary="Create a response")
async def create_response(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    answerer: NamedDependency[Answerer],
    live_answers: NamedDependency[LiveAnswers],
    data: JSONBody[ResponseBody],
) -> Response[dict[str, Any]] | Stream:
    """Answer the last message of the input, with file citations where the file_search tool is given."""
    if data.previous_response_id is not None or data.conversation is not None:
        raise refuse(
            "previous_response_id: responses are not kept; send the whole input.", "previous_response_id"
        )
    model, settings = read_model(data.model, data.tools or [], data.retrieval)
    sampling = Sampling(max_tokens=data.max_output_tokens, temperature=data.temperature, top_p=data.top_p)
    asked = to_asked(_messages(data), settings, sampling)
    asking = await begin(answerer, caller, model, settings, asked)
    answer = live_answers.add(
        LiveAnswer(answerer, asking, asked, finish=finisher(answerer, asking, "response"))
    )
    written = _Written(data, asking, searches=settings is not None)
    if data.stream:
        return Stream(
            _stream(written, answer),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    finished = await wait_for(request, answer, Finished)
    raise_failure(finished.ending)
    return Response(written.whole(finished.draft))


def _messages(data: ResponseBody) -> list[ChatMessage]:
    messages = [ChatMessage("system", data.instructions)] if data.instructions else []
    if isinstance(data.input, str):
        return [*messages, ChatMessage("user", data.input)]
    for place, message in enumerate(data.input):
        role = "system" if message.role == "developer" else message.role
        messages.append(ChatMessage(role, text_of(message.content, f"input[{place}].content")))
    return messages


@dataclass(slots=True)
class _Written:
    """A response and its items, whole and in the making."""

    data: ResponseBody
    asking: Asking
    searches: bool
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    search_id: str = field(default_factory=lambda: f"fs_{uuid.uuid4().hex}")
    message_id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    created_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def message_index(self) -> int:
        return 1 if self.searches else 0

    def whole(self, draft: Draft) -> dict[str, Any]:
        is_cut = draft.answered is not None and draft.answered.reason == "length"
        output = [self.search_item(draft.retrieval)] if self.searches else []
        return self.response("incomplete" if is_cut else "completed", [*output, self.message_item(draft)]) | {
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None
        }

    def response(
        self, status: str, output: list[dict[str, Any]], error: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        usage = usage_of(self.asking)
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": error,
            "incomplete_details": None,
            "instructions": self.data.instructions,
            "metadata": {},
            "model": self.data.model,
            "output": output,
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "temperature": self.data.temperature,
            "top_p": self.data.top_p,
            "max_output_tokens": self.data.max_output_tokens,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": msgspec.to_builtins(self.data.tools or []),
            "truncation": "auto",
            "store": False,
            "usage": None
            if status == "in_progress"
            else {
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
                "cost": usage["cost"],
            },
        }

    def search_item(self, retrieval: Retrieval | None, status: str = "completed") -> dict[str, Any]:
        results = None
        if retrieval is not None and _WITH_RESULTS in (self.data.include or []):
            results = [_result(hit) for hit in retrieval.hits]
        return {
            "id": self.search_id,
            "type": "file_search_call",
            "status": status,
            "queries": [] if retrieval is None else [retrieval.query],
            "results": results,
        }

    def message_item(self, draft: Draft, status: str = "completed") -> dict[str, Any]:
        return {
            "id": self.message_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self.text_part(draft)] if status == "completed" else [],
        }

    def text_part(self, draft: Draft) -> dict[str, Any]:
        annotations = [cite(citation, draft.text) for citation in draft.citations]
        return {"type": "output_text", "text": draft.text, "annotations": annotations, "logprobs": []}


def cite(citation: Citation, text: str) -> dict[str, Any]:
    """Return OpenAI's file citation, index being where in the text it stands, with ours beside it."""
    ours: dict[str, Any] = msgspec.to_builtins(citation)
    return ours | {
        "type": "file_citation",
        "index": max(0, text.find(f"[{citation.number}]")),
        "file_id": to_file_id(citation.document_id),
        "filename": citation.title,
    }


def _result(hit: Passage) -> dict[str, Any]:
    ours: dict[str, Any] = msgspec.to_builtins(hit)
    return ours | {
        "file_id": to_file_id(hit.document_id),
        "filename": hit.title,
        "attributes": {},
    }


class _Sequence:
    """Writes events, each with the next number."""

    def __init__(self) -> None:
        self._next = 0

    def event(self, kind: str, **data: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._next, **data}
        self._next += 1
        return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(body) + b"\n\n"


async def _stream(written: _Written, answer: LiveAnswer) -> AsyncGenerator[bytes, None]:
    to = _Sequence()
    events = follow(answer)
    draft = answer.draft
    place = written.message_index
    item = {"item_id": written.message_id, "output_index": place, "content_index": 0}
    begun = False
    try:
        yield to.event("response.created", response=written.response("in_progress", []))
        yield to.event("response.in_progress", response=written.response("in_progress", []))
        if written.searches:
            call = written.search_item(None, "in_progress")
            yield to.event("response.output_item.added", output_index=0, item=call)
            for step in ("in_progress", "searching"):
                yield to.event(f"response.file_search_call.{step}", output_index=0, item_id=written.search_id)
        async for event in events:
            match event.data if event is not None else None:
                case None:
                    yield b": still here\n\n"
                case Retrieval() as retrieval:
                    yield to.event(
                        "response.file_search_call.completed", output_index=0, item_id=written.search_id
                    )
                    yield to.event(
                        "response.output_item.done", output_index=0, item=written.search_item(retrieval)
                    )
                case Delta(text=text):
                    if not begun:
                        begun = True
                        for part in _begin(to, written, item, draft):
                            yield part
                    yield to.event("response.output_text.delta", **item, delta=text, logprobs=[])
                case Citation() as citation:
                    yield to.event(
                        "response.output_text.annotation.added",
                        **item,
                        annotation_index=draft.citations.index(citation),
                        annotation=cite(citation, draft.text),
                    )
                case Failure() as failure:
                    error = {"code": "server_error", "message": failure.detail}
                    yield to.event("response.failed", response=written.response("failed", [], error))
                    return
                case Finished(draft=whole):
                    if not begun:
                        for part in _begin(to, written, item, draft):
                            yield part
                    for part in _end(to, written, item, whole):
                        yield part
    finally:
        await events.aclose()


def _begin(to: _Sequence, written: _Written, item: dict[str, Any], draft: Draft) -> list[bytes]:
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return [
        to.event(
            "response.output_item.added",
            output_index=item["output_index"],
            item=written.message_item(draft, "in_progress"),
        ),
        to.event("response.content_part.added", **item, part=empty),
    ]


def _end(to: _Sequence, written: _Written, item: dict[str, Any], draft: Draft) -> list[bytes]:
    whole = written.whole(draft)
    last = "response.completed" if whole["status"] == "completed" else "response.incomplete"
    return [
        to.event("response.output_text.done", **item, text=draft.text, logprobs=[]),
        to.event("response.content_part.done", **item, part=written.text_part(draft)),
        to.event(
            "response.output_item.done", output_index=item["output_index"], item=written.message_item(draft)
        ),
        to.event(last, response=whole),
    ]


response_routes = [create_response]
