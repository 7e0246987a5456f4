"""What OpenAI's clients ask for, in our terms: which model, whether to look at documents, and the talk before."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from db.filters import Filter
from search.answer.model import ChatMessage, FinishReason, Sampling
from service.answering.live import Asked, Ending
from service.answering.schemas import EXTRACTIVE, MAX_QUESTION_CHARS, AnswerSettings
from service.errors import Problem
from service.openai_api.schemas import RankingOptions

WITH_DOCUMENTS = "docsearch/"
"""Before a model's name: answer from all documents that the key may see."""

MAX_CHARS = 400_000
"""Of all messages together: more than models read, and little enough to count."""


class TextPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message; only text can be read."""

    type: str
    text: str | None = None


Content = str | list[TextPart] | None


class FileSearchTool(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file_search"):
    """Look in these vector stores."""

    vector_store_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    max_num_results: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    filters: Filter | None = None
    ranking_options: RankingOptions | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """model: the name as it was given; settings None: the model alone, without documents."""

    model: str
    settings: AnswerSettings | None


def read_model(
    name: str, tools: Sequence[FileSearchTool], given: AnswerSettings | None
) -> tuple[str, AnswerSettings | None]:
    """Return the model's own name and where to look; None: nowhere. The extractive model always looks."""
    bare = name.removeprefix(WITH_DOCUMENTS)
    settings = given
    if tools:
        settings = _from_tool(tools[0], given)
    elif settings is None and (bare != name or bare == EXTRACTIVE):
        settings = AnswerSettings()
    return bare, settings


def _from_tool(tool: FileSearchTool, given: AnswerSettings | None) -> AnswerSettings:
    changes: dict[str, Any] = {"collection_ids": tool.vector_store_ids}
    if tool.filters is not None:
        changes["attributes"] = tool.filters
    if tool.max_num_results is not None:
        changes["top_k"] = tool.max_num_results
    if tool.ranking_options is not None and tool.ranking_options.score_threshold:
        changes["min_score"] = tool.ranking_options.score_threshold
    return msgspec.structs.replace(given or AnswerSettings(), **changes)


def text_of(content: Content, where: str) -> str:
    """Return the text of a message. Raises Problem where there is something else in it."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    for part in content:
        if part.text is None:
            raise refuse(f"{where}: a part of type {part.type} cannot be read; send text.", where)
    return "\n".join(part.text or "" for part in content)


def to_asked(messages: Sequence[ChatMessage], settings: AnswerSettings | None, sampling: Sampling) -> Asked:
    """Return what is asked: with settings, the last message is the question, and system messages are instructions."""
    if sum(len(message.content) for message in messages) > MAX_CHARS:
        raise refuse(f"messages: more than {MAX_CHARS:,} characters together.", "messages")
    spoken = [message for message in messages if message.role != "system"]
    if not spoken or spoken[-1].role != "user" or not spoken[-1].content.strip():
        raise refuse("messages: the last one must be the user's, and say something.", "messages")
    if settings is None:
        return Asked(question="", settings=AnswerSettings(), sampling=sampling, messages=messages)
    question = spoken[-1].content
    if len(question) > MAX_QUESTION_CHARS:
        raise refuse(
            f"messages: a question to documents has at most {MAX_QUESTION_CHARS:,} characters.", "messages"
        )
    rules = [message.content for message in messages if message.role == "system"]
    rules = [*([settings.instructions] if settings.instructions else []), *rules]
    settings = msgspec.structs.replace(settings, instructions="\n".join(rules) or None)
    return Asked(question=question, settings=settings, history=spoken[:-1], sampling=sampling)


def refuse(detail: str, param: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, param=param)


def finish_reason(reason: FinishReason) -> Literal["stop", "length", "content_filter"]:
    return "content_filter" if reason == "refused" else reason


_FAILED = {
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "quota": HTTPStatus.PAYMENT_REQUIRED,
    "context_too_long": HTTPStatus.BAD_REQUEST,
    "invalid_query": HTTPStatus.BAD_REQUEST,
    "refused": HTTPStatus.BAD_REQUEST,
}


def raise_failure(ending: Ending) -> None:
    """Raise what kept an answer from being whole, with a status that says whether to try again."""
    if ending.failure is None:
        return
    failure = ending.failure
    raise Problem(
        _FAILED.get(failure.code, HTTPStatus.BAD_GATEWAY),
        failure.detail,
        headers={} if failure.retryable else {"x-should-retry": "false"},
        code=failure.code,
    )
