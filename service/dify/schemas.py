"""Dify's External Knowledge API on the wire (docs.dify.ai, external-knowledge-api).

Fields that Dify may add to it are passed over.
"""

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
Name = Annotated[str, msgspec.Meta(max_length=500)]
Value = str | int | float


class Condition(msgspec.Struct, kw_only=True, frozen=True):
    """name: a key of the metadata; earlier versions send several, of which one is enough."""

    name: Name | Annotated[list[Name], msgspec.Meta(min_length=1, max_length=20)]
    comparison_operator: Operator
    value: Value | Annotated[list[Value], msgspec.Meta(max_length=100)] | None = None


class MetadataCondition(msgspec.Struct, kw_only=True, frozen=True):
    logical_operator: Literal["and", "or"] | None = None
    conditions: Annotated[list[Condition], msgspec.Meta(max_length=50)] | None = None


class RetrievalSetting(msgspec.Struct, kw_only=True, frozen=True):
    top_k: Annotated[int, msgspec.Meta(ge=1)] = 10
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class RetrievalBody(msgspec.Struct, kw_only=True, frozen=True):
    """knowledge_id: `all`, a team's id, or a vector store's, vs_…."""

    knowledge_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    retrieval_setting: RetrievalSetting = RetrievalSetting()
    metadata_condition: MetadataCondition | None = None


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """A passage; metadata is the document's own, and beside it where the passage stands."""

    content: str
    score: float
    title: str
    metadata: dict[str, Any]

    @classmethod
    def from_found(cls, hit: Hit) -> "Record":
        return cls(
            content=hit.text,
            score=hit.score,
            title=hit.title,
            metadata={
                # First what is theirs: a key of the same name must not pass for where a passage stands.
                **hit.metadata,
                "document_id": hit.document_id,
                "chunk_id": str(hit.chunk_id),
                "page_start": hit.page_start,
                "page_end": hit.page_end,
                "char_start": hit.char_start,
                "char_end": hit.char_end,
                "headings": hit.headings,
            },
        )


class RetrievalReply(msgspec.Struct, kw_only=True, frozen=True):
    records: list[Record]


class DifyError(msgspec.Struct, kw_only=True, frozen=True):
    """An error as Dify's contract has it."""

    error_code: int
    error_msg: str
