"""POST /v1/answers: one question, answered from the documents with citations."""

from http import HTTPStatus
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import ServerSentEvent

from db.tenancy import as_system
from service.answering.asking import Answerer
from service.answering.live import Asked, Draft, Ending, LiveAnswer, LiveAnswers
from service.answering.replies import as_messages, wait_for, wants_stream
from service.answers.schemas import AnswerBody, AnswerReply
from service.auth.caller import Caller
from service.openapi import problems


@post(
    "/v1/answers",
    status_code=200,
    tags=["answers"],
    responses=problems(402, 404, 422),
    summary="Answer a question",
)
async def answer_question(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    answerer: NamedDependency[Answerer],
    live_answers: NamedDependency[LiveAnswers],
    data: JSONBody[AnswerBody],
) -> Response[AnswerReply] | ServerSentEvent:
    """Answer from the documents that the caller may see, as JSON, or as server-sent events while it is written."""
    asking = await answerer.begin(caller, data.settings, data.model)

    async def finish(draft: Draft, ending: Ending) -> AnswerReply:
        async with as_system(answerer.pool) as conn:
            await asking.write_down(conn, "answer")
        return AnswerReply(
            answer=draft.text,
            declined=draft.answered is not None and draft.answered.declined,
            model=asking.chosen.name,
            query=None if draft.retrieval is None else draft.retrieval.query,
            citations=draft.citations,
            usage=asking.wire_usage(),
            error=ending.failure,
        )

    asked = Asked(question=data.question, settings=data.settings)
    answer = live_answers.add(LiveAnswer(answerer, asking, asked, finish=finish))
    if wants_stream(request, data.stream):
        return ServerSentEvent(as_messages(answer))
    return Response(await wait_for(request, answer, AnswerReply), status_code=HTTPStatus.OK)
