"""Ids as they are on the wire: a file's is its document's behind a prefix."""

FILE_PREFIX = "file-"


def to_file_id(document_id: str) -> str:
    return FILE_PREFIX + document_id


def to_document_id(file_id: str) -> str:
    """Return the document that a file is; for what is no file's id, one that no document has."""
    return file_id.removeprefix(FILE_PREFIX) if file_id.startswith(FILE_PREFIX) else ""
