"""The bytes of a document's original as a reply."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from litestar.response import Stream

from db.documents import Original
from ingest.originals import Originals


async def stream_original(originals: Originals, original: Original, document_id: str) -> Stream:
    """Return the bytes as an attachment. Raises OriginalMissing where they are gone."""
    # The first part is fetched here, so that a missing object is a problem reply and not a broken stream.
    parts = originals.stream(original.storage_key)
    first = await anext(parts, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for part in parts:
            yield part

    return Stream(
        whole(),
        media_type=original.media_type,
        headers={
            "Content-Length": str(original.size_bytes),
            "Content-Disposition": _attachment(original.filename or document_id),
            # Somebody's HTML must never run as a page of ours.
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _attachment(filename: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
