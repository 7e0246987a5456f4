"""A question to its answer, the whole way on one screen.

    question ──► stands alone ──► search ──► evidence? ──► passages ──► model ──► checked citations
    + history     (rewrite)                  │ no                       or the best sentences
                                             └──► "I found nothing"     (extractive)

What comes is a stream of events, so that a reader sees the passages before the answer and the answer as it is written.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from db.pool import Pool
from search.answer.citations import CitationReader, Cited
from search.answer.evidence import MIN_SCORE, NOTHING_FOUND, has_evidence
from search.answer.extractive import SplitSentences, quote_sentences, rank_by_sentences, write_answer
from search.answer.history import Summary, condense
from search.answer.model import ChatMessage, Finished, FinishReason, LanguageModel, Sampling, TextDelta
from search.answer.passages import MAX_PASSAGES, Passage, pack
from search.answer.prompt import answer_messages
from search.answer.rewrite import standalone_query
from search.pipeline import SearchResult, search
from search.query import QueryEmbedder, SearchRequest

CONTEXT_TOKENS = 3_000
"""Of passages, unless told otherwise: eight chunks of the bundled embedder, and their neighbours."""

HISTORY_TOKENS = 2_000
ANSWER_TOKENS = 1_024
_RULES_TOKENS = 400
_LEAST_SCORE = 0.5
"""Of the best hit's score, that a passage has for an extractive answer to quote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """search says where and how to look; its query is replaced by the question, made to stand alone."""

    question: str
    search: SearchRequest
    history: Sequence[ChatMessage] = ()
    summary: Summary | None = None
    """Of the beginning of history, from an earlier answer."""
    instructions: str | None = None
    min_evidence: float = MIN_SCORE
    answer_without_evidence: bool = False
    """Whether a model answers, without passages, where nothing relevant is found. An extractive answer cannot."""
    context_tokens: int = CONTEXT_TOKENS
    max_passages: int = MAX_PASSAGES
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Tools:
    """What answering works with. model None: the best sentences of the documents, word for word."""

    pool: Pool
    embedder: QueryEmbedder
    model: LanguageModel | None
    split_sentences: SplitSentences
    on_embedded: Callable[[str], None] = lambda _query: None
    """Called with each query that has been embedded."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was searched for, and what the answer may rest on."""

    query: str
    result: SearchResult
    passages: list[Passage]


@dataclass(frozen=True, slots=True)
class Shown:
    """The next part of the answer, citations checked."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """quote is the span of the passage that was taken word for word, where it was: (char_start, char_end)."""

    passage: Passage
    quote: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The end. declined: nothing relevant was found, and the text says so."""

    text: str
    citations: list[Citation]
    declined: bool
    reason: FinishReason
    summary: Summary | None


Event = Retrieved | Shown | Citation | Answered


async def answer(
    tools: Tools, spaces: tuple[str, ...], request: AnswerRequest
) -> AsyncGenerator[Event, None]:
    """Yield Retrieved, then Shown and Citation as they come, then Answered.

    Raises what search raises, and ModelFailed, before or in the midst of the answer. Closing the iterator ends the
    model's call.
    """
    query = await standalone_query(request.question, request.history, tools.model)
    result = await search(
        tools.pool,
        tools.embedder,
        replace(request.search, query=query),
        spaces,
        on_embedded=lambda: tools.on_embedded(query),
    )
    if not has_evidence(result.hits, request.min_evidence) and (
        tools.model is None or not request.answer_without_evidence
    ):
        yield Retrieved(query, result, [])
        yield Shown(NOTHING_FOUND)
        yield Answered(NOTHING_FOUND, [], declined=True, reason="stop", summary=request.summary)
        return
    if tools.model is None:
        events = _extract(tools, spaces, request, query, result)
    else:
        events = _ask(tools, tools.model, spaces, request, query, result)
    async with aclosing(events):
        async for event in events:
            yield event


async def _extract(
    tools: Tools, spaces: tuple[str, ...], request: AnswerRequest, query: str, result: SearchResult
) -> AsyncGenerator[Event, None]:
    hits = rank_by_sentences(result.hits, result.words, tools.split_sentences)
    least = _LEAST_SCORE * max(hit.score for hit in hits)
    passages = await pack(
        tools.pool,
        spaces,
        [hit for hit in hits if hit.score >= least],
        budget_tokens=request.context_tokens,
        count_tokens=_estimate_tokens,
        max_passages=request.max_passages,
    )
    yield Retrieved(query, result, passages)
    quotes = quote_sentences(passages, result.words, tools.split_sentences)
    text = write_answer(quotes)
    yield Shown(text)
    citations = [Citation(passages[quote.number - 1], (quote.char_start, quote.char_end)) for quote in quotes]
    for citation in citations:
        yield citation
    yield Answered(text, citations, declined=False, reason="stop", summary=request.summary)


async def _ask(
    tools: Tools,
    model: LanguageModel,
    spaces: tuple[str, ...],
    request: AnswerRequest,
    query: str,
    result: SearchResult,
) -> AsyncGenerator[Event, None]:
    context_tokens, history_tokens = _budgets(request, model)
    passages: list[Passage] = []
    if has_evidence(result.hits, request.min_evidence):
        passages = await pack(
            tools.pool,
            spaces,
            result.hits,
            budget_tokens=context_tokens,
            count_tokens=model.count_tokens,
            max_passages=request.max_passages,
        )
    yield Retrieved(query, result, passages)
    condensed = await condense(
        request.history,
        request.summary,
        budget_tokens=history_tokens,
        count_tokens=model.count_tokens,
        model=model,
    )
    messages = answer_messages(
        request.question, passages, condensed.messages, instructions=request.instructions
    )
    reader = CitationReader(len(passages))
    reason: FinishReason = "stop"
    async with aclosing(_read_answer(model, messages, request.sampling, reader)) as parts:
        async for part in parts:
            if isinstance(part, str):
                yield Shown(part)
            elif isinstance(part, Cited):
                yield Citation(passages[part.number - 1])
            else:
                reason = part.reason
    citations = [Citation(passages[number - 1]) for number in reader.cited]
    yield Answered(reader.text, citations, declined=False, reason=reason, summary=condensed.summary)


async def _read_answer(
    model: LanguageModel, messages: Sequence[ChatMessage], sampling: Sampling, reader: CitationReader
) -> AsyncGenerator[str | Cited | Finished, None]:
    async with aclosing(model.stream(messages, sampling)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                for part in reader.feed(event.text):
                    yield part
            else:
                yield event
    for part in reader.finish():
        yield part


def _budgets(request: AnswerRequest, model: LanguageModel) -> tuple[int, int]:
    """Return the tokens for passages and for the history, so that both, the rules and an answer fit the model."""
    answer_tokens = request.sampling.max_tokens or ANSWER_TOKENS
    fixed = (
        _RULES_TOKENS + model.count_tokens(request.question) + model.count_tokens(request.instructions or "")
    )
    room = max(0, model.context_tokens - min(answer_tokens, model.context_tokens // 2) - fixed)
    history = min(HISTORY_TOKENS, room // 3)
    return min(request.context_tokens, room - history), history


def _estimate_tokens(text: str) -> int:
    """Count without a tokenizer, where nobody pays by the token: four characters each."""
    return len(text) // 4 + 1
