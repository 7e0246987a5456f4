"""What ingestion needs of an embedder, and the text that is embedded for a chunk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # ingest.tokenize needs Tokenizer from here
    from ingest.tokenize import TokenizerSpec

EMBEDDING_WIDTH = 1536

Embeddings = NDArray[np.float32]
"""(n, 1536) float32, each row of length one."""

HEADER_WEIGHT = 56
"""The most that title and headings may weigh before a text, in tokens as _weigh guesses them: below a quarter of
the smallest window, 254 tokens."""


class Tokenizer(Protocol):
    """Finds where an embedder's tokens begin, so that chunks can be cut to its window."""

    def token_starts(self, text: str) -> Sequence[int]:
        """Return the code point at which each token begins, ascending, special tokens left out."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors of one model.

    Raises EmbeddingFailed; never returns fewer rows than texts, and never a row of another width.
    """

    @property
    def model(self) -> str:
        """The name that is stored with each vector: vectors of different names never meet."""
        ...

    @property
    def window_tokens(self) -> int:
        """The longest input the model reads in full, special tokens left out."""
        ...

    @property
    def tokenizer_spec(self) -> "TokenizerSpec":
        """Which tokenizer chunks are cut with, small enough to send to the parser's process."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        """Return row i for texts[i]."""
        ...


def embedding_text(title: str | None, headings: Sequence[str], text: str) -> str:
    """Return what is embedded for a chunk: a line with its title and headings, then its text.

    The line says what the chunk is about when its own words do not. It leaves out what the text begins with,
    never says a thing twice, and is cut at a word when it grows long; the innermost headings are kept longest.
    """
    opening = {line.strip().casefold() for line in text[:1000].split("\n", 8)[:8]}
    names: list[str] = []
    for name in (title or "", *headings):
        clean = " ".join(name.split())
        if clean and clean.casefold() not in opening:
            opening.add(clean.casefold())
            names.append(clean)
    header = _fit_header(names)
    return f"{header}\n{text}" if header and text else header or text


def _fit_header(names: Sequence[str]) -> str:
    """Join the names, dropping words from the end of the longest name until the line is light enough."""
    kept = [name.split(" ") for name in names]
    while kept and sum(_weigh(word) for words in kept for word in words) + len(kept) > HEADER_WEIGHT:
        longest = max(kept, key=lambda words: sum(map(_weigh, words)))
        if len(longest) > 1:
            longest.pop()
        else:
            kept.remove(longest)
    return " > ".join(" ".join(words) for words in kept)


def _weigh(word: str) -> int:
    """Guess a word's tokens, rather too many: three letters to one, any other character one each."""
    letters = sum(character.isascii() and character.isalpha() for character in word)
    return -(-letters // 3) + len(word) - letters
