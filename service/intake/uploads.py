"""A multipart body as it streams in: its file goes straight to the object store, its fields are kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from ingest.originals import Originals
from ingest.receive import StoredFile, clean_filename, store_file
from service.errors import Problem

# The text fields beside a file: a title and a metadata object are small.
MAX_FIELD_BYTES = 1024 * 1024


@dataclass(slots=True)
class Upload:
    """What came in: the stored file and the text fields beside it."""

    file: StoredFile | None = None
    fields: dict[str, str] = field(default_factory=dict)


async def receive_multipart(
    body: AsyncIterator[bytes], content_type: str, originals: Originals, storage_key: str, max_bytes: int
) -> Upload:
    """Read a multipart/form-data body; its part `file` goes to the store as it arrives."""
    boundary = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise Problem(HTTPStatus.BAD_REQUEST, "The multipart body has no boundary in its Content-Type.")
    upload = Upload()
    try:
        with PushMultipartParser(boundary, max_segment_count=32) as parser:
            await _read_segments(_events(parser, body), upload, originals, storage_key, max_bytes)
    except MultipartError as exc:
        await originals.delete(storage_key)
        raise Problem(HTTPStatus.BAD_REQUEST, f"The multipart body is damaged: {exc}.") from exc
    except BaseException:
        # A field after the file was refused: the file must not stay behind.
        await originals.delete(storage_key)
        raise
    return upload


_Event: TypeAlias = Any
"""What the parser yields: a MultipartSegment, then its bytes, then None. The package has no types to name."""


async def _events(parser: PushMultipartParser, body: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
    async for data in body:
        if data:
            for event in parser.parse(data):
                yield event


async def _read_segments(
    events: AsyncIterator[_Event], upload: Upload, originals: Originals, storage_key: str, max_bytes: int
) -> None:
    async for event in events:
        if not isinstance(event, MultipartSegment):
            continue
        if event.name == "file":
            if upload.file is not None:
                raise Problem(HTTPStatus.BAD_REQUEST, "One request uploads one file; this one has several.")
            upload.file = await store_file(
                originals,
                storage_key,
                _segment_parts(events),
                filename=clean_filename(event.filename),
                declared=event.content_type,
                max_bytes=max_bytes,
            )
        else:
            upload.fields[event.name] = await _read_field(event.name, events)


async def _segment_parts(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        if isinstance(event, (bytes, bytearray)):
            yield bytes(event)


async def _read_field(name: str, events: AsyncIterator[_Event]) -> str:
    value = b""
    async for part in _segment_parts(events):
        value += part
        if len(value) > MAX_FIELD_BYTES:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The field {name} is larger than 1 MiB.")
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The field {name} is not UTF-8.") from exc
