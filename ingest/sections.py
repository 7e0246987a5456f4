"""A document's sections: its blocks, grouped under the headings above them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ingest.boundaries import trim
from ingest.pack import Section, TokenIndex
from ingest.parse.document import Block, BlockKind

HEADING_CHARS = 200
"""The most that is kept of a heading in a path: what is longer was never a heading."""

SMALL_SECTION_SHARE = 5
"""A section below a fifth of the room is joined to a neighbour that it is close to in the outline."""


@dataclass(slots=True)
class _Outline:
    """The headings in force, with their levels."""

    levels: list[int]
    titles: list[str]

    def enter(self, level: int, title: str) -> None:
        while self.levels and self.levels[-1] >= level:
            self.levels.pop()
            self.titles.pop()
        self.levels.append(level)
        self.titles.append(title)


def find_sections(text: str, blocks: Sequence[Block]) -> Iterator[Section]:
    """Yield the sections in order; headings without text of their own belong to the section after them."""
    outline = _Outline([], [])
    section: list[Block] = []
    has_body = False
    path: tuple[str, ...] = ()
    for block in fill_gaps(text, blocks):
        if block.kind is BlockKind.HEADING:
            if has_body:
                yield Section(path, tuple(section))
                section, has_body = [], False
            outline.enter(
                block.level, " ".join(text[block.char_start : block.char_end].split())[:HEADING_CHARS]
            )
            path = tuple(outline.titles)
        else:
            has_body = True
        section.append(block)
    if section:
        yield Section(path, tuple(section))


def fill_gaps(text: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks, trimmed, and text that no block covers as paragraphs, so that nothing is lost."""
    position = 0
    end_of_text = (Block(BlockKind.PARAGRAPH, len(text), len(text)),)
    for block in chain(blocks, end_of_text):
        yield from _paragraphs(text, position, block.char_start)
        start, end = trim(text, max(block.char_start, position), block.char_end)
        if start < end:
            yield Block(block.kind, start, end, block.level)
        position = max(position, block.char_end)


def _paragraphs(text: str, start: int, end: int) -> Iterator[Block]:
    while start < end:
        gap = text.find("\n\n", start, end)
        paragraph_end = end if gap < 0 else gap
        trimmed_start, trimmed_end = trim(text, start, paragraph_end)
        if trimmed_start < trimmed_end:
            yield Block(BlockKind.PARAGRAPH, trimmed_start, trimmed_end)
        start = end if gap < 0 else gap + 2


def merge_small_sections(
    sections: Iterable[Section], tokens: TokenIndex, room: Callable[[tuple[str, ...]], int]
) -> Iterator[list[Section]]:
    """Group neighbours of which one is small and that fit in one chunk; most groups are a single section."""
    group: list[Section] = []
    group_tokens = 0
    group_path: tuple[str, ...] = ()
    for section in sections:
        section_tokens = tokens.count(section.char_start, section.char_end)
        common = _common_prefix(group_path, section.path)
        space = room(section.path)
        is_small = min(group_tokens, section_tokens) * SMALL_SECTION_SHARE < space
        is_close = len(common) >= min(len(group_path), len(section.path)) - 1
        if (
            group
            and is_small
            and is_close
            and group_tokens + section_tokens <= min(space, room(group[0].path))
        ):
            group.append(section)
            group_tokens, group_path = group_tokens + section_tokens, common
            continue
        if group:
            yield group
        group, group_tokens, group_path = [section], section_tokens, section.path
    if group:
        yield group


def _common_prefix(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    for depth, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return left[:depth]
    return min(left, right, key=len)
