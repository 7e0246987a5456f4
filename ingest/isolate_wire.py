"""What ingest.isolate and its child say to each other: frames of MessagePack, each behind its length."""

import os
import selectors
import struct
import time
from collections.abc import Sequence

import msgspec

from ingest.chunk import Chunk
from ingest.errors import Stage

FRAME_HEADER = struct.Struct("<Q")


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What a child is asked; paths and numbers only, the file itself stays where it is."""

    path: str
    media_type: str
    filename: str | None
    title: str | None
    tokenizer_kind: str
    tokenizer_name: str
    window_tokens: int
    target_tokens: int
    text_tokens: int | None
    overlap_tokens: int | None
    cpu_limit_s: int


class ChunkRow(msgspec.Struct, frozen=True, array_like=True):
    """A chunk without its text, which is a slice of the document's."""

    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: tuple[str, ...]
    token_count: int


class Parsed(msgspec.Struct, frozen=True, array_like=True, tag="parsed"):
    text: str
    page_starts: list[int]
    title: str | None
    metadata: dict[str, str]
    chunks: list[ChunkRow]


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """error is the name of a class of ingest.errors; trace is for the log, not for the uploader."""

    error: str
    detail: str
    stage: Stage
    trace: str
    worn_out: bool
    """The child ran out of memory and should not be asked again."""


Reply = Parsed | Failed


def send_frame(descriptor: int, payload: bytes) -> None:
    remaining = memoryview(FRAME_HEADER.pack(len(payload)) + payload)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def receive_frame(descriptor: int, timeout_s: float) -> bytearray:
    """Return one frame. Raises EOFError at the end of the pipe and TimeoutError."""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        (length,) = FRAME_HEADER.unpack(_receive_exactly(descriptor, FRAME_HEADER.size, selector, deadline))
        return _receive_exactly(descriptor, length, selector, deadline)


def _receive_exactly(
    descriptor: int, length: int, selector: selectors.BaseSelector, deadline: float
) -> bytearray:
    data = bytearray(length)
    view, received = memoryview(data), 0
    while received < length:
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        count = os.readv(descriptor, [view[received:]])
        if count == 0:
            raise EOFError
        received += count
    return data


def to_rows(chunks: Sequence[Chunk]) -> list[ChunkRow]:
    return [
        ChunkRow(
            chunk.char_start,
            chunk.char_end,
            chunk.page_start,
            chunk.page_end,
            chunk.headings,
            chunk.token_count,
        )
        for chunk in chunks
    ]
