"""What every parser returns: clean text and the structure found in it, in code point offsets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BlockKind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    CODE = "code"
    TABLE_ROW = "table_row"


@dataclass(frozen=True, slots=True)
class Block:
    """text[char_start:char_end] is one structural unit; blocks are in order and do not overlap."""

    kind: BlockKind
    char_start: int
    char_end: int
    level: int = 0
    """1..6 for headings, 0 for everything else."""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's text, already clean: no NUL, no lone surrogate, so offsets into it are final.

    page_starts[i] is the code point at which page i + 1 begins; empty where the format has no pages.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    page_starts: tuple[int, ...] = ()
    title: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
