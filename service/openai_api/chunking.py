"""How files are cut: what is asked for, and what is so."""

from http import HTTPStatus

from db.chunkings import Chunking as Cut
from db.members import MemberRow
from ingest.chunk import DEFAULT_TARGET_TOKENS
from ingest.pack import OVERLAP_SHARE
from service.errors import Problem
from service.openai_api.schemas import Chunking, StaticChunking, UsedChunking, UsedSizes


def to_cut(asked: Chunking | None, window_tokens: int) -> Cut | None:
    """Return how to cut, within what the embedder reads in full; None for however it is.

    A chunk beyond the window would lose its tail unseen.
    """
    if not isinstance(asked, StaticChunking):
        return None
    sizes = asked.static
    if sizes.chunk_overlap_tokens * 2 > sizes.max_chunk_size_tokens:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "chunking_strategy: chunk_overlap_tokens may be half of max_chunk_size_tokens at most.",
            param="chunking_strategy",
        )
    tokens = min(sizes.max_chunk_size_tokens, window_tokens)
    return Cut(tokens, min(sizes.chunk_overlap_tokens, tokens // 2))


def used_chunking(row: MemberRow, window_tokens: int) -> UsedChunking:
    """Return how a file is cut really: never more than the window, whatever the embedder was when it was asked."""
    if row.chunk_tokens is None:
        tokens = min(DEFAULT_TARGET_TOKENS, window_tokens)
        overlap = int(tokens * OVERLAP_SHARE)
    else:
        tokens = min(row.chunk_tokens, window_tokens)
        overlap = row.chunk_overlap or 0
    return UsedChunking(
        type="static", static=UsedSizes(max_chunk_size_tokens=tokens, chunk_overlap_tokens=overlap)
    )
