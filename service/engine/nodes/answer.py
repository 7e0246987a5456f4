"""answer: a question answered from the documents of the run's space, with citations that were checked."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from db.filters import Filter
from search.answer.pipeline import Answered, Retrieved
from service.answering.schemas import MAX_QUESTION_CHARS, AnswerSettings, Citation
from service.engine.asking import begin, charged, usage_of
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.text import AS_TEXT, Text, as_text
from service.text import storable


class AnswerConfig(Config, frozen=True, kw_only=True):
    question: Annotated[Text, msgspec.Meta(description="What to answer.", extra_json_schema=AS_TEXT)]
    model: Annotated[
        str | None,
        msgspec.Meta(
            description="Id or name of an AI model. Unset: the documents' best sentences, word for word."
        ),
    ] = None
    top_k: Annotated[int, msgspec.Meta(ge=1, le=50, description="Passages that the answer may rest on.")] = 8
    min_score: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=1)] | None,
        msgspec.Meta(
            description="Score of the best passage below which it declines. Unset: ANSWER_MIN_SCORE."
        ),
    ] = None
    filters: Annotated[
        Filter | None, msgspec.Meta(description="On the documents' metadata, as of POST /v1/search.")
    ] = None
    document_ids: Annotated[
        Annotated[list[str], msgspec.Meta(max_length=1_000)] | None,
        msgspec.Meta(description="Only from these documents."),
    ] = None
    instructions: Annotated[
        Annotated[str, msgspec.Meta(max_length=4_000)] | None,
        msgspec.Meta(description="What the model is told beside the rules of citing."),
    ] = None
    temperature: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=2)] | None, msgspec.Meta(description="Unset: the model's own.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None, msgspec.Meta(description="Of the answer.")
    ] = None


class Answer(NodeType[AnswerConfig]):
    name = "answer"
    label = "Answer"
    description = (
        "Answers a question from documents, with citations, or says that nothing relevant was found."
    )
    config = AnswerConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data.get("question") else [("question", "is missing: what to answer")]

    async def run(self, call: Call[AnswerConfig]) -> Emit:
        question = _question(call.config)
        settings = _settings(call)
        asking = await begin(call.services, call.run, settings, call.config.model, searches=True)
        answered: Answered | None = None
        query = question
        async with charged(
            call.services, call.run, asking, call.services.answerer.answer(asking, settings, question)
        ) as events:
            async for event in events:
                if isinstance(event, Retrieved):
                    query = event.query
                elif isinstance(event, Answered):
                    answered = event
        if answered is None:
            raise NodeError("The answer has no end.", code="model_failed", retryable=True)
        return emit(
            {
                "answer": storable(answered.text),
                "citations": [
                    msgspec.to_builtins(Citation.from_cited(citation)) for citation in answered.citations
                ],
                "declined": answered.declined,
                "query": query,
                "model": asking.chosen.name,
                "usage": usage_of(asking),
            }
        )


def _question(config: AnswerConfig) -> str:
    question = as_text(config.question)
    if not question.strip():
        raise NodeError("question says nothing.", code="bad_config", field="data.question")
    if len(question) > MAX_QUESTION_CHARS:
        raise NodeError(
            f"question is longer than {MAX_QUESTION_CHARS:,} characters.",
            code="bad_config",
            field="data.question",
        )
    return question


def _settings(call: Call[AnswerConfig]) -> AnswerSettings:
    config = call.config
    return AnswerSettings(
        team_id=call.run.team_id,
        document_ids=config.document_ids,
        filters=config.filters,
        top_k=config.top_k,
        min_score=config.min_score,
        instructions=config.instructions,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
    )
