"""Puts a document's text together and keeps the offsets of its blocks and pages as it grows."""

from collections.abc import Mapping

from ingest.parse.clean import clean_line, clean_text
from ingest.parse.document import Block, BlockKind, ParsedDocument

MAX_HEADING_LEVEL = 6

_CLOSE_TOGETHER = frozenset({BlockKind.TABLE_ROW, BlockKind.LIST_ITEM})
"""Kinds whose neighbours are one line apart; other blocks have an empty line between them."""


class DocumentBuilder:
    """Collects clean blocks in document order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._page_starts: list[int] = []

    @property
    def is_empty(self) -> bool:
        return not self._blocks

    def start_page(self) -> None:
        """Begin a page: it starts where the next block does, so that a chunk's first character says its page."""
        self._page_starts.append(self._length)

    def add(self, kind: BlockKind, clean: str, level: int = 0) -> None:
        """Append a block of text that is clean already; blank ones are left out."""
        clean = clean.strip("\n") if kind is BlockKind.CODE else clean.strip()
        if not clean or clean.isspace():
            return
        self._separate(kind)
        start = self._append(clean)
        self._blocks.append(Block(kind, start, self._length, level))

    def add_heading(self, text: str, level: int) -> None:
        self.add(BlockKind.HEADING, clean_line(text), min(max(level, 1), MAX_HEADING_LEVEL))

    def continue_block(self, clean: str, *, joint: str, starts_page: bool = False) -> None:
        """Lengthen the last block by joint and text; with starts_page the text is the first of a new page."""
        last = self._blocks[-1]
        self._append(joint)
        start = self._append(clean)
        if starts_page:
            self._page_starts[-1] = start
        self._blocks[-1] = Block(last.kind, last.char_start, self._length, last.level)

    def drop_last_character(self) -> None:
        """Shorten the last block by one, as when the hyphen of a divided word goes."""
        last = self._blocks[-1]
        self._parts[-1] = self._parts[-1][:-1]
        self._length -= 1
        self._blocks[-1] = Block(last.kind, last.char_start, self._length, last.level)

    def build(self, title: str | None, metadata: Mapping[str, str] | None = None) -> ParsedDocument:
        text = "".join(self._parts)
        clean_title = clean_line(title) if title else ""
        return ParsedDocument(
            text=text,
            blocks=tuple(self._blocks),
            page_starts=tuple(min(start, len(text)) for start in self._page_starts),
            title=clean_title or None,
            metadata={key: clean_text(value) for key, value in (metadata or {}).items() if value.strip()},
        )

    def _separate(self, kind: BlockKind) -> None:
        if not self._blocks:
            return
        close = kind in _CLOSE_TOGETHER and self._blocks[-1].kind is kind
        # A page that begins here begins after the gap.
        moved = self._length
        self._append("\n" if close else "\n\n")
        for index in range(len(self._page_starts) - 1, -1, -1):
            if self._page_starts[index] < moved:
                break
            self._page_starts[index] = self._length

    def _append(self, text: str) -> int:
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        return start
