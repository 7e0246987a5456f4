"""Answers on the wire: what is asked, where it is looked for, and the passages that are cited."""

from typing import Annotated, Any, Literal

import msgspec

from db.filters import Filter
from search.answer.extractive import NAME as EXTRACTIVE
from search.answer.passages import Passage as FoundPassage
from search.answer.pipeline import CONTEXT_TOKENS
from search.answer.pipeline import Citation as FoundCitation
from search.query import MAX_QUERY_CHARS

MAX_QUESTION_CHARS = MAX_QUERY_CHARS

Question = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION_CHARS)]
Instructions = Annotated[str, msgspec.Meta(max_length=4_000)]


class AnswerSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where to look, how, and how to answer; a conversation keeps these."""

    team_id: str | None = None
    document_ids: Annotated[list[str], msgspec.Meta(max_length=1000)] | None = None
    collection_ids: Annotated[list[str], msgspec.Meta(max_length=100)] | None = None
    filters: Filter | None = None
    attributes: Filter | None = None
    mode: Literal["hybrid", "semantic", "lexical"] = "hybrid"
    top_k: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    when_nothing_found: Literal["decline", "answer"] = "decline"
    context_tokens: Annotated[int, msgspec.Meta(ge=200, le=100_000)] = CONTEXT_TOKENS
    instructions: Instructions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None


class Passage(msgspec.Struct, kw_only=True, frozen=True):
    """text is content[char_start:char_end] of the document's extracted text, in code points; pages count from 1."""

    number: int
    document_id: str
    chunk_id: str
    title: str
    text: str
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    headings: list[str]
    score: float
    metadata: dict[str, Any]

    @classmethod
    def from_found(cls, passage: FoundPassage) -> "Passage":
        return cls(**_passage_fields(passage))


class Quote(msgspec.Struct, kw_only=True, frozen=True):
    """A sentence that was taken word for word: content[char_start:char_end] of the document."""

    char_start: int
    char_end: int


class Citation(Passage, kw_only=True, frozen=True):
    """A passage that [number] in the answer refers to."""

    quote: Quote | None

    @classmethod
    def from_cited(cls, citation: FoundCitation) -> "Citation":
        quote = citation.quote
        return cls(
            **_passage_fields(citation.passage),
            quote=None if quote is None else Quote(char_start=quote[0], char_end=quote[1]),
        )


def _passage_fields(passage: FoundPassage) -> dict[str, Any]:
    return {
        "number": passage.number,
        "document_id": passage.document_id,
        "chunk_id": str(passage.chunk_id),
        "title": passage.title,
        "text": passage.text,
        "page_start": passage.page_start,
        "page_end": passage.page_end,
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "headings": passage.headings,
        "score": round(passage.score, 6),
        "metadata": dict(passage.metadata),
    }


class Usage(msgspec.Struct, kw_only=True, frozen=True):
    """What the model was charged for, in tokens and US dollars; estimated: our own count, not the provider's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float
    estimated: bool


class Retrieval(msgspec.Struct, kw_only=True, frozen=True):
    """The data of a `retrieval` event: what was searched for, and the passages that the answer may rest on."""

    query: str
    hits: list[Passage]


class Delta(msgspec.Struct, kw_only=True, frozen=True):
    """The data of a `delta` event: the next part of the answer."""

    text: str


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    """The data of an `error` event: a code for programs and a sentence for people."""

    code: str
    detail: str
    retryable: bool


__all__ = [
    "EXTRACTIVE",
    "AnswerSettings",
    "Citation",
    "Delta",
    "Failure",
    "Passage",
    "Question",
    "Quote",
    "Retrieval",
    "Usage",
]
