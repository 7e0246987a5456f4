"""Dify's External Knowledge API on the wire. Fields that it may add are passed over."""

from typing import Annotated, Any, Literal

import msgspec

from search.cite import Hit
from search.query import MAX_QUERY_CHARS

Operator = Literal[
    "contains",
    "not contains",
    "start with",
    "end with",
    "is",
    "is not",
    "in",
    "not in",
    "empty",
    "not empty",
    "=",
    "≠",
    ">",
    "<",
    "≥",
    "≤",
    "before",
    "after",
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Scalar = str | int | float | bool


class RetrievalSetting(msgspec.Struct, kw_only=True, frozen=True):
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class Condition(msgspec.Struct, kw_only=True, frozen=True):
    """name: of the metadata; older versions of Dify send a list of names, one of which has to fit."""

    name: Name | Annotated[list[Name], msgspec.Meta(min_length=1, max_length=20)]
    comparison_operator: Operator
    value: Scalar | Annotated[list[Scalar], msgspec.Meta(max_length=100)] | None = None


class MetadataCondition(msgspec.Struct, kw_only=True, frozen=True):
    logical_operator: Literal["and", "or"] | None = None
    conditions: Annotated[list[Condition], msgspec.Meta(max_length=100)] | None = None


class RetrievalBody(msgspec.Struct, kw_only=True, frozen=True):
    """A query for what the caller may see of a knowledge base."""

    knowledge_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    retrieval_setting: RetrievalSetting = RetrievalSetting()
    metadata_condition: MetadataCondition | None = None


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """A passage. metadata is the document's own, and where the passage stands in it; never null."""

    content: str
    score: float
    title: str
    metadata: dict[str, Any]

    @classmethod
    def from_found(cls, hit: Hit) -> "Record":
        place = {
            "document_id": hit.document_id,
            "chunk_id": str(hit.chunk_id),
            "page_start": hit.page_start,
            "page_end": hit.page_end,
            "char_start": hit.char_start,
            "char_end": hit.char_end,
            "headings": hit.headings,
        }
        return cls(content=hit.text, score=hit.score, title=hit.title, metadata=dict(hit.metadata) | place)


class RetrievalReply(msgspec.Struct, kw_only=True, frozen=True):
    """Records, best first."""

    records: list[Record]
