"""Documents on the wire."""

from datetime import datetime
from typing import Any

import msgspec

from db.chunks import ChunkRow
from db.documents import DocumentRow, Status
from service.intake.schemas import Title


class DocumentPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; metadata is replaced as a whole, null clears it; team_id shares it, null takes it back."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    team_id: str | msgspec.UnsetType | None = msgspec.UNSET


class IngestionError(msgspec.Struct, kw_only=True, frozen=True):
    """Where ingestion failed, a code for programs and a sentence for people."""

    stage: str
    code: str
    detail: str


class Document(msgspec.Struct, kw_only=True, frozen=True):
    """A document and where it stands."""

    id: str
    title: str
    status: Status
    stage: str | None
    progress: float
    error: IngestionError | None
    source_type: str | None
    source_url: str | None
    filename: str | None
    media_type: str | None
    size_bytes: int | None
    sha256: str | None
    page_count: int | None
    chunk_count: int | None
    token_count: int | None
    embedding_model: str | None
    metadata: dict[str, Any]
    team_id: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: DocumentRow) -> "Document":
        return cls(
            id=row.id,
            title=row.title,
            status=row.status,
            stage=row.stage,
            progress=round(row.progress, 4),
            error=ingestion_error(row),
            source_type=row.source_type,
            source_url=row.source_url,
            filename=row.filename,
            media_type=row.media_type,
            size_bytes=row.size_bytes,
            sha256=None if row.sha256 is None else row.sha256.hex(),
            page_count=row.page_count,
            chunk_count=row.chunk_count,
            token_count=row.token_count,
            embedding_model=row.embedding_model,
            metadata=row.metadata or {},
            team_id=row.team_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


def ingestion_error(row: DocumentRow) -> IngestionError | None:
    if row.error_code is None:
        return None
    return IngestionError(
        stage=row.error_stage or "fetch", code=row.error_code, detail=row.error_detail or ""
    )


class Accepted(msgspec.Struct, kw_only=True, frozen=True):
    """The reply to an upload: where the document stands by now."""

    id: str
    status: Status
    error: IngestionError | None

    @classmethod
    def from_row(cls, row: DocumentRow) -> "Accepted":
        return cls(id=row.id, status=row.status, error=ingestion_error(row))


class Progress(msgspec.Struct, kw_only=True, frozen=True):
    """The data of one server-sent event."""

    status: Status
    stage: str | None
    progress: float
    error: IngestionError | None

    @classmethod
    def from_row(cls, row: DocumentRow) -> "Progress":
        return cls(
            status=row.status, stage=row.stage, progress=round(row.progress, 4), error=ingestion_error(row)
        )


class Chunk(msgspec.Struct, kw_only=True, frozen=True):
    """text is content[char_start:char_end] of the document's extracted text, in code points."""

    id: str
    ordinal: int
    text: str
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: list[str]
    token_count: int

    @classmethod
    def from_row(cls, row: ChunkRow) -> "Chunk":
        return cls(
            id=str(row.id),
            ordinal=row.ordinal,
            text=row.text,
            char_start=row.char_start,
            char_end=row.char_end,
            page_start=row.page_start,
            page_end=row.page_end,
            headings=row.headings,
            token_count=row.token_count,
        )
