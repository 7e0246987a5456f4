"""One question, answered for a caller: the scope they may see, the model they chose, and what it cost."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from uuid import UUID

from db import ai_models
from db.pool import Conn, Pool
from db.usage import UsageEntry, insert_usage
from ingest.boundaries import split_sentences
from search.answer.evidence import MIN_SCORE
from search.answer.history import Summary
from search.answer.model import ChatMessage, Finished, FinishReason, Sampling
from search.answer.pipeline import (
    ANSWER_TOKENS,
    Answered,
    AnswerRequest,
    Event,
    Shown,
    Tools,
    answer,
)
from search.query import Mode, SearchRequest
from service.answering.metered import MeteredModel, ModelUsage
from service.answering.models import Chosen, choose_model
from service.answering.schemas import AnswerSettings, Usage
from service.auth.caller import Caller
from service.budgets import Budgets
from service.errors import Problem
from service.metering import UsageRecorder
from service.providers import EmbeddingProvider
from service.providers.chat import ChatModels
from service.query_meter import QueryMeter
from service.searching import open_collections

QUERY_TOKENS = 1_000
"""Of the question, where reading it costs something: more than most have."""
OTHER_TOKENS = 3_000
"""Beside the passages: history, rules, and the two short calls that may come before the answer."""


@dataclass(slots=True)
class Asking:
    """An answer on its way; usage grows until it is over."""

    caller: Caller
    team_id: str | None
    chosen: Chosen
    spaces: tuple[str, ...]
    usage: ModelUsage = field(default_factory=ModelUsage)
    reservation: UUID | None = None
    """What was set aside of the budgets; writing the answer down settles it."""

    @property
    def cost(self) -> float:
        """US dollars so far."""
        return self.chosen.config.cost(self.usage.prompt_tokens, self.usage.completion_tokens)

    def wire_usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            total_tokens=self.usage.total_tokens,
            cost=self.cost,
            estimated=self.usage.estimated,
        )

    def entry(self, action: str, resource_id: str | None = None) -> UsageEntry:
        return UsageEntry(
            user_id=self.caller.user_id,
            team_id=self.team_id,
            key_id=self.caller.key_id,
            resource="ai_request",
            resource_id=resource_id,
            action=action,
            tokens=self.usage.total_tokens,
            cost=self.cost,
            metadata={"model": self.chosen.name, "prompt_tokens": self.usage.prompt_tokens},
            reservation=self.reservation,
        )

    async def write_down(self, conn: Conn, action: str, resource_id: str | None = None) -> None:
        """Charge for the answer, and count it in its model's totals, in conn's transaction; conn is the service's."""
        await insert_usage(conn, [self.entry(action, resource_id)])
        if self.usage.requests:
            await ai_models.add_totals(
                conn,
                self.chosen.id,
                requests=self.usage.requests,
                tokens=self.usage.total_tokens,
                cost=self.cost,
            )


@dataclass(frozen=True, slots=True)
class Answerer:
    """What answering works with; one a process."""

    pool: Pool
    embedder: EmbeddingProvider
    chat_models: ChatModels
    usage_recorder: UsageRecorder
    query_meter: QueryMeter
    min_evidence: float = MIN_SCORE

    async def begin(
        self,
        caller: Caller,
        settings: AnswerSettings,
        wanted_model: str | None,
        *,
        team_id: str | None = None,
        prompt_chars: int = 0,
        max_tokens: int | None = None,
    ) -> Asking:
        """Check whom and what is asked, and set aside what it may cost.

        team_id: whose conversation it is, if a team's. prompt_chars and max_tokens: of a prompt and an answer that
        settings do not speak of. Raises Problem, 402 where a budget does not suffice, and ModelFailed where the model's
        configuration is wrong.
        """
        spaces = await spaces_of(self.pool, caller, settings)
        chosen = await choose_model(self.pool, self.chat_models, wanted_model)
        estimate = estimate_cost(chosen, settings, prompt_chars, max_tokens) + self.query_meter.cost(
            QUERY_TOKENS
        )
        charged = team_id or settings.team_id
        reservation = await Budgets(self.pool).reserve(caller, charged, estimate)
        return Asking(caller, charged, chosen, spaces, reservation=reservation)

    async def answer(
        self,
        asking: Asking,
        settings: AnswerSettings,
        question: str,
        *,
        history: Sequence[ChatMessage] = (),
        summary: Summary | None = None,
        sampling: Sampling | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of search.answer.pipeline. Raises what they raise."""
        model = asking.chosen.model
        searches: list[asyncio.Future[None]] = []

        def record(query: str) -> None:
            entry = self.query_meter.entry(asking.caller, query, Mode(settings.mode), settings.team_id)
            searches.append(self.usage_recorder.record(entry))

        tools = Tools(
            self.pool,
            self.embedder,
            None if model is None else MeteredModel(model, asking.usage),
            split_sentences,
            on_embedded=record,
        )
        request = to_request(settings, question, history, summary, self.min_evidence)
        if sampling is not None:
            request = replace(request, sampling=sampling)
        async with aclosing(answer(tools, asking.spaces, request)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    await asyncio.gather(*searches)
                yield event

    async def chat(
        self, asking: Asking, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Yield what the model says to these messages, as it says it; nothing is looked up. Raises ModelFailed."""
        if asking.chosen.model is None:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "The extractive model answers from documents alone."
            )
        parts: list[str] = []
        reason: FinishReason = "stop"
        model = MeteredModel(asking.chosen.model, asking.usage)
        async with aclosing(model.stream(messages, sampling)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    reason = event.reason
                else:
                    parts.append(event.text)
                    yield Shown(event.text)
        yield Answered("".join(parts), [], declined=False, reason=reason, summary=None)


def estimate_cost(
    chosen: Chosen, settings: AnswerSettings, prompt_chars: int = 0, max_tokens: int | None = None
) -> float:
    """Return about what the model will charge, in US dollars; what it does charge is counted when that is known."""
    answer_tokens = max_tokens or settings.max_tokens or chosen.config.max_tokens or ANSWER_TOKENS
    return chosen.config.cost(settings.context_tokens + OTHER_TOKENS + prompt_chars // 3, answer_tokens)


def to_request(
    settings: AnswerSettings,
    question: str,
    history: Sequence[ChatMessage],
    summary: Summary | None,
    min_evidence: float,
) -> AnswerRequest:
    return AnswerRequest(
        question=question,
        search=SearchRequest(
            query=question,
            top_k=max(30, settings.top_k),
            mode=Mode(settings.mode),
            filters=settings.filters,
            document_ids=None if settings.document_ids is None else tuple(settings.document_ids),
            collection_ids=None if settings.collection_ids is None else tuple(settings.collection_ids),
            attributes=settings.attributes,
        ),
        history=history,
        summary=summary,
        instructions=settings.instructions,
        min_evidence=min_evidence if settings.min_score is None else settings.min_score,
        answer_without_evidence=settings.when_nothing_found == "answer",
        context_tokens=settings.context_tokens,
        max_passages=settings.top_k,
        sampling=Sampling(max_tokens=settings.max_tokens, temperature=settings.temperature),
    )


async def spaces_of(pool: Pool, caller: Caller, settings: AnswerSettings) -> tuple[str, ...]:
    """Return all that the caller may see, or the team or the collections they name of it.

    Raises 404 for a team or a collection that is not theirs, 422 for one that has expired.
    """
    spaces = caller.spaces
    if settings.team_id is not None:
        caller.require("search", settings.team_id)
        spaces = (settings.team_id,)
    if settings.collection_ids is not None:
        opened = await open_collections(pool, caller, settings.collection_ids)
        held = {collection.space_id for collection in opened}
        spaces = tuple(space for space in spaces if space in held)
    return spaces
