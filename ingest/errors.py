"""What can go wrong between bytes and stored chunks."""

from typing import Literal

Stage = Literal["fetch", "parse", "chunk", "embed", "store"]


class IngestError(Exception):
    """A document could not be ingested; detail is for the person who uploaded it.

    retryable: another attempt may succeed without anything being changed by a person.
    """

    stage: Stage = "parse"
    code: str = "ingest_failed"
    retryable: bool = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnsupportedFormat(IngestError):
    code = "unsupported_format"


class CorruptFile(IngestError):
    code = "corrupt_file"


class EncryptedFile(IngestError):
    code = "encrypted_file"


class NoText(IngestError):
    """The file opened, but holds no text: an empty file, or scanned pages that need OCR."""

    code = "no_text"


class ParserLimit(IngestError):
    """Parsing passed its limit of time, memory or size."""

    code = "parser_limit"


class EmbeddingFailed(IngestError):
    """The embedder refused or garbled; retryable where its provider may recover."""

    stage: Stage = "embed"
    code = "embedding_failed"

    def __init__(self, detail: str, *, retryable: bool) -> None:
        super().__init__(detail)
        self.retryable = retryable


class OriginalMissing(IngestError):
    stage: Stage = "fetch"
    code = "original_missing"


class EmptyFile(IngestError):
    stage: Stage = "fetch"
    code = "empty_file"


class FileTooLarge(IngestError):
    stage: Stage = "fetch"
    code = "file_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"The file is larger than {max_bytes:,} bytes, the most this server takes (MAX_UPLOAD_BYTES)."
        )
        self.max_bytes = max_bytes


class NoRoom(IngestError):
    """The plan of whoever owns the document does not allow so many more bytes."""

    stage: Stage = "fetch"
    code = "plan_limit"


class FetchRefused(IngestError):
    """The address must not be asked: it is private, or no http or https URL."""

    stage: Stage = "fetch"
    code = "fetch_refused"


class FetchFailed(IngestError):
    """The address did not answer, or not with a document."""

    stage: Stage = "fetch"
    code = "fetch_failed"

    def __init__(self, detail: str, *, retryable: bool) -> None:
        super().__init__(detail)
        self.retryable = retryable
