"""A question answered from the workflow's own documents, with citations."""

from contextlib import aclosing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from db.filters import Filter
from search.answer.model import ModelFailed
from search.answer.pipeline import Answered
from search.errors import SearchError
from service.answering.schemas import AnswerSettings, Citation
from service.engine.errors import NodeError
from service.engine.nodes.ai import model_failed
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.caller import caller_of, search_spaces


class AnswerConfig(Config, frozen=True, kw_only=True):
    question: Annotated[str, Meta(min_length=1, max_length=8_000, description="What to answer.")]
    model: Annotated[
        str | None, Meta(description="Model that words the answer; unset: the documents' own sentences.")
    ] = None
    top_k: Annotated[int, Meta(ge=1, le=50, description="Passages at most.")] = 8
    mode: Annotated[
        Literal["hybrid", "semantic", "lexical"], Meta(description="By meaning and words, or by one of them.")
    ] = "hybrid"
    min_score: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Score of the best hit below which it declines to answer."),
    ] = None
    filters: Annotated[Filter | None, Meta(description="On metadata, as POST /v1/search has them.")] = None
    document_ids: Annotated[list[str] | None, Meta(description="Only from these documents.")] = None
    collection_ids: Annotated[list[str] | None, Meta(description="Only from these collections.")] = None
    instructions: Annotated[
        Annotated[str, Meta(max_length=4_000)] | None,
        Meta(description="How to answer: language, tone, length."),
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="The model's temperature.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None, Meta(description="Tokens of the answer at most.")
    ] = None


class Answer(NodeType[AnswerConfig]):
    name = "answer"
    label = "Answer from documents"
    description = (
        "Answers a question from your documents, with citations, or says that they do not have the answer."
    )
    config = AnswerConfig
    has_effects = True

    async def run(self, call: Call[AnswerConfig]) -> Emit:
        config, answerer = call.config, call.services.answerer
        await search_spaces(call.services.pool, call.run, config.collection_ids)
        settings = AnswerSettings(
            team_id=call.run.team_id,
            document_ids=config.document_ids,
            collection_ids=config.collection_ids,
            filters=config.filters,
            mode=config.mode,
            top_k=config.top_k,
            min_score=config.min_score,
            instructions=config.instructions,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        asking = await answerer.begin(caller_of(call.run), settings, config.model)
        answered: Answered | None = None
        try:
            async with aclosing(answerer.answer(asking, settings, config.question)) as events:
                async for event in events:
                    if isinstance(event, Answered):
                        answered = event
        except ModelFailed as exc:
            raise model_failed(exc) from exc
        except SearchError as exc:
            raise NodeError(str(exc), code="bad_query", field="data.question") from exc
        finally:
            await answerer.charge(asking, "answer", call.run.execution_id)
        if answered is None:
            raise NodeError("No answer was given.", code="model_failed", retryable=True)
        citations: list[Any] = [msgspec.to_builtins(Citation.from_cited(one)) for one in answered.citations]
        return emit(
            {
                "answer": answered.text,
                "declined": answered.declined,
                "citations": citations,
                "model": asking.chosen.name,
                "usage": msgspec.to_builtins(asking.wire_usage()),
            }
        )
