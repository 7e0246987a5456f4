"""Cut a parsed document into chunks along its own structure."""

from dataclasses import dataclass


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
