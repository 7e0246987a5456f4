"""Plain text: paragraphs between empty lines, everything else as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.parse.clean import clean_text
from ingest.parse.document import Block, BlockKind, ParsedDocument
from ingest.parse.encoding import decode_text

_EMPTY_LINE = re.compile(r"\n[ \t]*\n")


def parse_text(path: Path) -> ParsedDocument:
    return parse_plain(decode_text(path.read_bytes()))


def parse_plain(source: str) -> ParsedDocument:
    """Return decoded text as a document."""
    text = clean_text(source).strip("\n")
    return ParsedDocument(text=text, blocks=tuple(_paragraphs(text)))


def _paragraphs(text: str) -> Iterator[Block]:
    start = 0
    for gap in _EMPTY_LINE.finditer(text):
        if not text[start : gap.start()].isspace() and start < gap.start():
            yield Block(BlockKind.PARAGRAPH, start, gap.start())
        start = gap.end()
    if text[start:].strip():
        yield Block(BlockKind.PARAGRAPH, start, len(text))
