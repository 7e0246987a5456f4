"""Cut a parsed document into chunks along its own structure.

Sections (headings) come first, then blocks, then, inside a block that is longer than a chunk may be, sentences,
lines, words, and at last graphemes. A chunk repeats the end of the one before only where a block had to be cut.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ingest.boundaries import Span
from ingest.embed import Tokenizer, embedding_text
from ingest.pack import Packer, Piece, Section, TokenIndex
from ingest.parse.document import ParsedDocument
from ingest.sections import find_sections, merge_small_sections

DEFAULT_TARGET_TOKENS = 512
"""Long windows are not filled: a vector of 8,191 tokens says little about any of them."""

MIN_TEXT_TOKENS = 16
"""A window must leave this much for the text after the title and headings."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """text is exactly parsed.text[char_start:char_end]; pages count from 1, None where there are none."""

    ordinal: int
    text: str
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: tuple[str, ...]
    """The headings the chunk stands under, outermost first."""
    token_count: int
    """Tokens of what is embedded for the chunk: its text and the title and headings put before it."""


@runtime_checkable
class CountsTokens(Protocol):
    """A tokenizer that is faster when only the number of tokens is wanted."""

    def count_tokens(self, text: str) -> int: ...


def count_tokens(tokenizer: Tokenizer, text: str) -> int:
    if isinstance(tokenizer, CountsTokens):
        return tokenizer.count_tokens(text)
    return len(tokenizer.token_starts(text))


def chunk_document(
    parsed: ParsedDocument,
    *,
    title: str | None,
    tokenizer: Tokenizer,
    window_tokens: int,
    target_tokens: int = DEFAULT_TARGET_TOKENS,
    text_tokens: int | None = None,
    overlap_tokens: int | None = None,
) -> list[Chunk]:
    """Return the chunks of the document in order; together they hold every character that is not white space.

    The embedding_text of every chunk, under this title, has at most window_tokens tokens, and target_tokens unless
    text_tokens says how many its text alone may have. overlap_tokens is how many of them each chunk repeats of the
    one before at most, within a section; None repeats only where a block had to be cut.
    Raises ValueError when the window is too small to hold the title and some text.
    """
    target = window_tokens if text_tokens is not None else min(target_tokens, window_tokens)
    chunker = _Chunker(parsed, title, tokenizer, window_tokens, target, text_tokens, overlap_tokens)
    return list(chunker.chunks())


class _Chunker:
    """What chunking one document needs in several places."""

    def __init__(
        self,
        parsed: ParsedDocument,
        title: str | None,
        tokenizer: Tokenizer,
        window_tokens: int,
        target_tokens: int,
        text_tokens: int | None,
        overlap_tokens: int | None,
    ) -> None:
        self._parsed = parsed
        self._title = title
        self._tokenizer = tokenizer
        self._window_tokens = window_tokens
        self._target_tokens = target_tokens
        self._text_tokens = text_tokens
        self._overlap_tokens = overlap_tokens
        self._tokens = TokenIndex(parsed.text, tokenizer.token_starts(parsed.text))
        self._room_of_path: dict[tuple[str, ...], int] = {}

    def chunks(self) -> Iterator[Chunk]:
        sections = find_sections(self._parsed.text, self._parsed.blocks)
        ordinal = 0
        for group in merge_small_sections(sections, self._tokens, self._room):
            for span, pieces, token_count in self._pack(group):
                yield self._chunk(ordinal, span, _common_path(pieces), token_count)
                ordinal += 1

    def _pack(self, group: Sequence[Section]) -> Iterator[tuple[Span, Sequence[Piece], int]]:
        room = min(self._room(section.path) for section in group)
        packer = Packer(self._parsed.text, self._tokens, room, self._overlap_tokens)
        packer.load(group)
        while packer.has_pieces:
            limit = room
            while True:
                span, pieces = packer.propose(limit)
                token_count = self._count(span, _common_path(pieces))
                if token_count <= self._window_tokens:
                    break
                # Tokens of a part are not always the part of the tokens: cut again, shorter.
                limit = self._shorter(limit, token_count - self._window_tokens)
            packer.accept(span, pieces)
            yield span, pieces, token_count

    def _shorter(self, limit: int, excess: int) -> int:
        if limit <= 1:
            raise ValueError(f"A window of {self._window_tokens} tokens holds no chunk of this document")
        return max(1, limit - excess)

    def _room(self, path: tuple[str, ...]) -> int:
        """Tokens that are left for the text under these headings."""
        room = self._room_of_path.get(path)
        if room is None:
            header = embedding_text(self._title, path, "")
            room = self._target_tokens - count_tokens(self._tokenizer, header)
            if room < MIN_TEXT_TOKENS:
                raise ValueError(
                    f"A window of {self._window_tokens} tokens has no room for text after {header!r}"
                )
            if self._text_tokens is not None:
                room = min(room, self._text_tokens)
            self._room_of_path[path] = room
        return room

    def _count(self, span: Span, path: tuple[str, ...]) -> int:
        text = self._parsed.text[span[0] : span[1]]
        return count_tokens(self._tokenizer, embedding_text(self._title, path, text))

    def _chunk(self, ordinal: int, span: Span, path: tuple[str, ...], token_count: int) -> Chunk:
        start, end = span
        pages = self._parsed.page_starts
        return Chunk(
            ordinal=ordinal,
            text=self._parsed.text[start:end],
            char_start=start,
            char_end=end,
            page_start=max(1, bisect_right(pages, start)) if pages else None,
            page_end=max(1, bisect_right(pages, end - 1)) if pages else None,
            headings=path,
            token_count=token_count,
        )


def _common_path(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """The headings that all of the text stands under; of headings alone, the path of the last."""
    paths = {piece.path for piece in pieces if not piece.is_heading} or {pieces[-1].path}
    shortest = min(paths, key=len)
    for depth in range(len(shortest), 0, -1):
        if all(path[:depth] == shortest[:depth] for path in paths):
            return shortest[:depth]
    return ()
