"""Files and vector stores on the wire, as OpenAI's clients send and read them. Times are Unix seconds."""

from typing import Annotated, Any, Literal

import msgspec

from db.filters import Filter
from search.query import MAX_QUERY_CHARS

Name = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=512)]
Metadata = Annotated[dict[Name, Text], msgspec.Meta(max_length=16)]
Attributes = Annotated[dict[Name, Text | bool | int | float], msgspec.Meta(max_length=16)]
FileId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
MAX_BATCH = 2000


class _Request(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class AutoChunking(_Request, frozen=True, tag="auto"):
    """However the file is cut already, or else by default."""


class StaticSizes(_Request, frozen=True):
    """Tokens of a chunk's text at most, and of them repeated from the chunk before at most."""

    max_chunk_size_tokens: Annotated[int, msgspec.Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, msgspec.Meta(ge=0, le=2048)]


class StaticChunking(_Request, frozen=True, tag="static"):
    static: StaticSizes


Chunking = AutoChunking | StaticChunking


class ExpiresAfter(_Request, frozen=True):
    """So many days after a vector store was last used."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, msgspec.Meta(ge=1, le=365)]


class NewVectorStore(_Request, frozen=True):
    name: Text | None = None
    description: Text | None = None
    file_ids: Annotated[list[FileId], msgspec.Meta(max_length=MAX_BATCH)] | None = None
    chunking_strategy: Chunking | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class VectorStorePatch(_Request, frozen=True):
    """What may be changed; null clears it."""

    name: Text | msgspec.UnsetType | None = msgspec.UNSET
    expires_after: ExpiresAfter | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET


class NewStoreFile(_Request, frozen=True):
    """A file to be put into a vector store."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class StoreFilePatch(_Request, frozen=True):
    """All attributes anew; null clears them."""

    attributes: Attributes | None


class NewBatch(_Request, frozen=True):
    """Either file_ids, with attributes and chunking for all of them, or files, each with its own."""

    file_ids: Annotated[list[FileId], msgspec.Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    files: Annotated[list[NewStoreFile], msgspec.Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class HybridWeights(_Request, frozen=True):
    """How much meaning and words count, in relation to each other."""

    embedding_weight: Annotated[float, msgspec.Meta(ge=0)]
    text_weight: Annotated[float, msgspec.Meta(ge=0)]


class RankingOptions(_Request, frozen=True):
    """Every ranker is ours; score_threshold leaves out what scores less."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    hybrid_search: HybridWeights | None = None


Query = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUERY_CHARS)]


class StoreSearch(_Request, frozen=True):
    """One query, or several of which each result is ranked by the one that suits it best."""

    query: Query | Annotated[list[Query], msgspec.Meta(min_length=1, max_length=8)]
    filters: Filter | None = None
    max_num_results: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


class _Reply(msgspec.Struct, kw_only=True, frozen=True):
    pass


class File(_Reply, frozen=True):
    """A document as a file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    status_details: str | None


class Deleted(_Reply, frozen=True):
    id: str
    object: Literal["file", "vector_store.deleted", "vector_store.file.deleted"]
    deleted: bool


class FileCounts(_Reply, frozen=True):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class VectorStore(_Reply, frozen=True):
    """A collection. usage_bytes are those of its files that can be searched."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str | None
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: dict[str, Any] | None
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, Any] | None
    team_id: str | None


class LastError(_Reply, frozen=True):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class UsedSizes(_Reply, frozen=True):
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class UsedChunking(_Reply, frozen=True):
    """How the file is cut really."""

    type: Literal["static"]
    static: UsedSizes


class StoreFile(_Reply, frozen=True):
    """A file in a vector store."""

    id: str
    object: Literal["vector_store.file"]
    created_at: int
    vector_store_id: str
    usage_bytes: int
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    last_error: LastError | None
    attributes: dict[str, Any] | None
    chunking_strategy: UsedChunking


class Batch(_Reply, frozen=True):
    """Files that were put into a vector store together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    file_counts: FileCounts


class TextContent(_Reply, frozen=True):
    type: Literal["text"]
    text: str


class ContentPage(_Reply, frozen=True):
    """The extracted text, in one piece."""

    object: Literal["vector_store.file_content.page"]
    data: list[TextContent]
    has_more: bool
    next_page: str | None


class ResultScores(_Reply, frozen=True):
    """Each leg's own: cosine similarity, and BM25. null where the leg does not know the chunk."""

    semantic: float | None
    lexical: float | None


class SearchResult(_Reply, frozen=True):
    """A chunk; its text is content[char_start:char_end] of the file's extracted text, in code points."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Any] | None
    content: list[TextContent]
    chunk_id: str
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    headings: list[str]
    scores: ResultScores


class SearchPage(_Reply, frozen=True):
    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None
