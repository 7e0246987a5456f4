"""Fill chunks with whole blocks where they fit, and with parts of a block where one does not."""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice, takewhile

import numpy as np

from ingest.boundaries import (
    Span,
    previous_grapheme_boundary,
    split_lines,
    split_sentences,
    split_words,
    trim,
)
from ingest.parse.document import Block, BlockKind

MAX_TOKEN_CHARS = 64
"""A longer stretch without a token, such as a word that WordPiece gives up on, counts as one token per 64."""

OVERLAP_SHARE = 0.15
"""A whole sentence is repeated when it is at most this part of the room, else the words of its last part."""

WORD_OVERLAP_SHARE = 0.1

FINE_PARTS = 8
"""Words are offered to the packer in runs of an eighth of the room: fine enough to balance chunks."""


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks that stand under the same headings; the headings themselves are its first blocks."""

    path: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def char_start(self) -> int:
        return self.blocks[0].char_start

    @property
    def char_end(self) -> int:
        return self.blocks[-1].char_end


class Joint(IntEnum):
    """What lies between a piece and the one before it, from the best place to cut to the worst."""

    BLOCK = 0
    LINE = 1
    INTRODUCTION = 2
    """The block before ends with a colon, and this one is what it announces."""
    SENTENCE = 3
    WORD = 4
    GRAPHEME = 5
    HEADING = 6
    """The block before is a heading: never cut here."""


# What a cut costs, as a part of the room: by so much a chunk may miss its goal to avoid it.
_CUT_COSTS = {
    Joint.BLOCK: 0.0,
    Joint.LINE: 0.1,
    Joint.INTRODUCTION: 0.2,
    Joint.SENTENCE: 0.25,
    Joint.WORD: 0.5,
    Joint.GRAPHEME: 0.75,
}
_REPEATED = frozenset({Joint.SENTENCE, Joint.WORD})


@dataclass(frozen=True, slots=True)
class Piece:
    """text[char_start:char_end], no longer than the room if it can be helped, and how it hangs on the last one."""

    char_start: int
    char_end: int
    joint: Joint
    path: tuple[str, ...]
    is_heading: bool


class TokenIndex:
    """Counts the tokens of any span of a text that was tokenised once."""

    def __init__(self, text: str, token_starts: Sequence[int]) -> None:
        self._starts = _with_long_gaps_filled(np.asarray(token_starts, dtype=np.int64), len(text))

    def count(self, start: int, end: int) -> int:
        """Tokens that lie in text[start:end], one that begins before it included."""
        if start >= end:
            return 0
        return max(1, bisect_left(self._starts, end) - self._first(start))

    def end_of(self, start: int, tokens: int) -> int:
        """The code point where the token begins that is so many tokens after start."""
        index = self._first(start) + tokens
        return self._starts[index] if index < len(self._starts) else -1

    def start_of(self, end: int, tokens: int) -> int:
        """The code point where the last so many tokens before end begin."""
        return self._starts[max(0, bisect_left(self._starts, end) - tokens)]

    def _first(self, start: int) -> int:
        return max(0, bisect_right(self._starts, start) - 1)


def _with_long_gaps_filled(starts: "np.ndarray[tuple[int], np.dtype[np.int64]]", length: int) -> "array[int]":
    edges = np.concatenate((starts, np.array([length], dtype=np.int64)))
    if len(starts) == 0 or starts[0] > 0:
        edges = np.concatenate((np.zeros(1, dtype=np.int64), edges))
    gaps = np.diff(edges)
    if len(gaps) and int(gaps.max()) > MAX_TOKEN_CHARS:
        long_gaps = np.flatnonzero(gaps > MAX_TOKEN_CHARS)
        added = [np.arange(edges[i], edges[i + 1], MAX_TOKEN_CHARS, dtype=np.int64)[1:] for i in long_gaps]
        starts = np.sort(np.concatenate((starts, *added)))
    filled = array("q")
    filled.frombytes(np.ascontiguousarray(starts, dtype=np.int64).tobytes())
    return filled


class Packer:
    """Takes the pieces of sections one chunk at a time, so that the caller can measure each before it counts."""

    def __init__(self, text: str, tokens: TokenIndex, room: int, overlap_tokens: int | None = None) -> None:
        """overlap_tokens is how much of the chunk before each repeats at most; None: only of a block that was cut."""
        self._text = text
        self._tokens = tokens
        self._room = room
        self._overlap_tokens = overlap_tokens
        self._pieces: deque[Piece] = deque()
        self._last: Piece | None = None
        self._last_start = -1
        # Where that part of the last chunk begins which stands under the same headings as its last.
        self._last_path_start = -1
        self._char_end = 0

    @property
    def has_pieces(self) -> bool:
        return bool(self._pieces)

    def load(self, sections: Sequence[Section]) -> None:
        before: Block | None = None
        for section in sections:
            for block in section.blocks:
                joint = self._joint_after(before, block)
                self._pieces.extend(self._split(block, joint, section.path))
                before = block
        self._char_end = self._pieces[-1].char_end

    def propose(self, limit: int) -> tuple[Span, list[Piece]]:
        """Return the next chunk's span and the pieces it takes, limit tokens long at most by the index."""
        first = self._pieces[0]
        if self._tokens.count(first.char_start, first.char_end) > limit:
            self._divide_first(limit)
            first = self._pieces[0]
        start = self._overlap_start(first, limit)
        # Not at the price of the piece itself, and never all of the chunk before.
        if self._tokens.count(start, first.char_end) > limit or start <= self._last_start:
            start = first.char_start
        count = self._choose(start, limit)
        pieces = list(islice(self._pieces, count))
        return (start, pieces[-1].char_end), pieces

    def accept(self, span: Span, pieces: Sequence[Piece]) -> None:
        for _ in pieces:
            self._last = self._pieces.popleft()
        self._last_start = span[0]
        under = list(takewhile(lambda piece: piece.path == pieces[-1].path, reversed(pieces)))
        # What the chunk repeats stands under the headings of its first piece.
        self._last_path_start = span[0] if len(under) == len(pieces) else under[-1].char_start

    def _choose(self, start: int, limit: int) -> int:
        """How many pieces the chunk takes: near an equal share of what is left, cut where it hurts least."""
        left = self._tokens.count(start, self._char_end)
        if left <= limit:
            return len(self._pieces)
        goal = left / -(-left // limit)
        best, best_cost = 1, float("inf")
        for taken, (piece, following) in enumerate(_pairs(self._pieces), start=1):
            tokens = self._tokens.count(start, piece.char_end)
            if tokens > limit:
                break
            if following is None:
                return taken
            cost = abs(tokens - goal) + _CUT_COSTS.get(following.joint, 2.0) * self._room
            if cost < best_cost:
                best, best_cost = taken, cost
        return best

    def _overlap_start(self, first: Piece, limit: int) -> int:
        """Where the chunk begins: before its first piece, if that was torn off the one before."""
        last = self._last
        if self._overlap_tokens is not None:
            return self._fixed_overlap_start(first, limit, self._overlap_tokens)
        if last is None or first.joint not in _REPEATED:
            return first.char_start
        if first.joint is Joint.SENTENCE and last.joint is not Joint.WORD:
            sentence = self._tokens.count(last.char_start, last.char_end)
            if sentence <= limit * OVERLAP_SHARE:
                return last.char_start
        wanted = self._tokens.start_of(first.char_start, max(1, int(limit * WORD_OVERLAP_SHARE)))
        return self._next_word(max(wanted, last.char_start), first.char_start)

    def _fixed_overlap_start(self, first: Piece, limit: int, overlap_tokens: int) -> int:
        """Where the chunk begins to repeat at most so many tokens, whole words of the same section."""
        if self._last is None or self._last.path != first.path:
            return first.char_start
        spare = min(overlap_tokens, limit - self._tokens.count(first.char_start, first.char_end))
        if spare <= 0:
            return first.char_start
        wanted = max(
            self._tokens.start_of(first.char_start, spare), self._last_path_start, self._last_start + 1
        )
        start = self._next_word(wanted, first.char_start)
        # A word's first letters may be a token that begins before it.
        while start < first.char_start and self._tokens.count(start, first.char_start) > spare:
            start = self._next_word(start + 1, first.char_start)
        return start

    def _next_word(self, position: int, end: int) -> int:
        if position > 0 and not self._text[position - 1].isspace():
            while position < end and not self._text[position].isspace():
                position += 1
        return trim(self._text, position, end)[0] if self._text[position:end].strip() else end

    def _joint_after(self, before: Block | None, block: Block) -> Joint:
        if before is None:
            return Joint.BLOCK
        if (
            before.kind is BlockKind.HEADING
            and self._tokens.count(before.char_start, before.char_end) * 2 < self._room
        ):
            return Joint.HEADING
        if before.kind is not block.kind and self._text[before.char_end - 1] in ":：":
            return Joint.INTRODUCTION
        return Joint.BLOCK

    def _split(self, block: Block, joint: Joint, path: tuple[str, ...]) -> Iterator[Piece]:
        is_heading = block.kind is BlockKind.HEADING
        for start, end, cut in _divide(
            self._text, self._tokens, self._room, block.char_start, block.char_end, joint, block.kind
        ):
            yield Piece(start, end, cut, path, is_heading)

    def _divide_first(self, limit: int) -> None:
        """Replace a piece that turned out too long by smaller ones."""
        first = self._pieces.popleft()
        parts = _divide(
            self._text,
            self._tokens,
            limit,
            first.char_start,
            first.char_end,
            first.joint,
            BlockKind.PARAGRAPH,
        )
        pieces = [Piece(start, end, joint, first.path, first.is_heading) for start, end, joint in parts]
        self._pieces.extendleft(reversed(pieces))


def _pairs(pieces: deque[Piece]) -> Iterator[tuple[Piece, Piece | None]]:
    previous: Piece | None = None
    for piece in pieces:
        if previous is not None:
            yield previous, piece
        previous = piece
    if previous is not None:
        yield previous, None


_Part = tuple[int, int, Joint]


def _divide(
    text: str, tokens: TokenIndex, room: int, start: int, end: int, joint: Joint, kind: BlockKind
) -> Iterator[_Part]:
    """Yield the span whole if it fits, else its sentences or lines, and of those too long their words."""
    if tokens.count(start, end) <= room:
        yield start, end, joint
        return
    is_code = kind is BlockKind.CODE
    spans = split_lines(text, start, end) if is_code else split_sentences(text, start, end)
    inner = Joint.LINE if is_code else Joint.SENTENCE
    for span in spans:
        if tokens.count(*span) <= room:
            yield *span, joint
        else:
            yield from _divide_lines(text, tokens, room, span, joint)
        joint = inner


def _divide_lines(text: str, tokens: TokenIndex, room: int, span: Span, joint: Joint) -> Iterator[_Part]:
    for line in split_lines(text, *span):
        if tokens.count(*line) <= room:
            yield *line, joint
        else:
            yield from _divide_words(text, tokens, room, line, joint)
        joint = Joint.LINE


def _divide_words(text: str, tokens: TokenIndex, room: int, span: Span, joint: Joint) -> Iterator[_Part]:
    fine = max(1, room // FINE_PARTS)
    run_start = run_end = -1
    for word_start, word_end in split_words(text, *span):
        if run_start >= 0 and tokens.count(run_start, word_end) > fine:
            yield run_start, run_end, joint
            joint, run_start = Joint.WORD, -1
        if tokens.count(word_start, word_end) > room:
            yield from _divide_graphemes(text, tokens, fine, (word_start, word_end), joint)
            joint = Joint.WORD
            continue
        run_start, run_end = (word_start if run_start < 0 else run_start), word_end
    if run_start >= 0:
        yield run_start, run_end, joint


def _divide_graphemes(text: str, tokens: TokenIndex, fine: int, span: Span, joint: Joint) -> Iterator[_Part]:
    start, end = span
    while start < end:
        cut = tokens.end_of(start, fine)
        cut = previous_grapheme_boundary(text, cut, start) if start < cut < end else end
        yield start, cut, joint
        start, joint = cut, Joint.GRAPHEME
