"""A file on its way into the object store: streamed, counted, hashed, recognised, never held in memory."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ingest.errors import EmptyFile, FileTooLarge
from ingest.originals import Originals
from ingest.parse.sniff import SNIFF_BYTES, sniff_media_type


@dataclass(frozen=True, slots=True)
class StoredFile:
    storage_key: str
    filename: str | None
    media_type: str
    size_bytes: int
    sha256: bytes


class _Counted:
    """Hashes and counts the parts that pass through, and stops a file that is too large or of no known format."""

    def __init__(self, filename: str | None, declared: str | None, max_bytes: int) -> None:
        self._filename = filename
        self._declared = declared
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0
        self.media_type = ""

    async def through(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        head = b""
        async for part in parts:
            self.size_bytes += len(part)
            if self.size_bytes > self._max_bytes:
                raise FileTooLarge(self._max_bytes)
            self._sha256.update(part)
            if self.media_type:
                yield part
                continue
            head += part
            if len(head) >= SNIFF_BYTES:
                self.media_type = sniff_media_type(head, self._filename, self._declared)
                yield head
        if not self.media_type:
            if not head:
                raise EmptyFile("The file is empty.")
            self.media_type = sniff_media_type(head, self._filename, self._declared)
            yield head

    def digest(self) -> bytes:
        return self._sha256.digest()


async def store_file(
    originals: Originals,
    storage_key: str,
    parts: AsyncIterator[bytes],
    *,
    filename: str | None,
    declared: str | None,
    max_bytes: int,
) -> StoredFile:
    """Stream parts into the store. Raises UnsupportedFormat, EmptyFile or FileTooLarge, leaving nothing behind."""
    counted = _Counted(filename, declared, max_bytes)
    await originals.put(storage_key, counted.through(parts))
    return StoredFile(storage_key, filename, counted.media_type, counted.size_bytes, counted.digest())


def clean_filename(name: str | None) -> str | None:
    """Return the last part of a sender's path without control characters; None where nothing is left."""
    if name is None:
        return None
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in base if c.isprintable()).strip()[:255]
    return kept or None


def storage_key(document_id: str) -> str:
    """Return where a document's original lies; two levels, so that no folder gets a million files."""
    return f"{document_id[:2]}/{document_id}"
