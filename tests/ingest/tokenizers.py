"""The two tokenizers that documents are really chunked with, and what must hold for any chunks."""

from collections.abc import Sequence
from pathlib import Path

from ingest.chunk import Chunk
from ingest.embed import Tokenizer, embedding_text
from ingest.parse import ParsedDocument
from ingest.tokenize import TokenizerSpec

WORDPIECE = TokenizerSpec(
    "wordpiece", str(Path(__file__).parents[2] / "service" / "providers" / "minilm" / "tokenizer.json")
)
TIKTOKEN = TokenizerSpec("tiktoken", "cl100k_base")
MINILM_WINDOW_TOKENS = 254


def assert_sound(
    parsed: ParsedDocument,
    chunks: Sequence[Chunk],
    title: str | None,
    tokenizer: Tokenizer,
    window_tokens: int,
) -> None:
    """Spans are exact and in order, nothing is lost, nothing is longer than the window, all of it is text."""
    covered = 0
    previous_start = -1
    for ordinal, chunk in enumerate(chunks):
        assert chunk.ordinal == ordinal
        assert chunk.text == parsed.text[chunk.char_start : chunk.char_end]
        assert chunk.text
        assert chunk.text == chunk.text.strip()
        assert chunk.char_start > previous_start
        assert chunk.char_end > covered
        # What lies between two chunks is white space.
        assert not parsed.text[covered : chunk.char_start].strip()
        embedded = embedding_text(title, chunk.headings, chunk.text)
        assert len(tokenizer.token_starts(embedded)) == chunk.token_count <= window_tokens
        previous_start, covered = chunk.char_start, chunk.char_end
    assert not parsed.text[covered:].strip()
    assert "\0" not in parsed.text
    parsed.text.encode("utf-8")  # raises on a lone surrogate
